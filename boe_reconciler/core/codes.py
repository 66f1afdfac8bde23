"""Every Problem code there is: the one table behind messages and docs/problems."""

from __future__ import annotations

from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    #: A few words: the title of the code's page.
    summary: str
    #: Why it is a Problem and how to mend it: the body of the code's page.
    explanation: str


#: Numbers are never used twice. 001-029 reading YAML, 030-059 shape of a
#: document, 060-099 time, 100-129 references, 130-159 policy and access,
#: 160-189 templates, names and paths, 190-199 not available, 200-229 SQL.
CODES: dict[str, Code] = {
    # Reading YAML.
    "BOE001": Code(
        "The file is not UTF-8",
        "YAML files are read as UTF-8. Save the file in that encoding; most editors "
        "show the encoding in their status line.",
    ),
    "BOE002": Code(
        "An invisible character",
        "Control characters, and line breaks that editors do not show as such, make a "
        "file read differently from how it looks. Remove the character; in text that "
        'needs it, write it as an escape in double quotes, such as "\\u2028".',
    ),
    "BOE003": Code(
        "The file is too large",
        "A YAML file may have 1 MB. Split it: kinds and documents may be spread over "
        "files as you like, and long queries belong in files of their own "
        "(`query_file`).",
    ),
    "BOE004": Code(
        "Nested too deeply",
        "Values may be nested 50 deep. Nothing in the language needs more than ten.",
    ),
    "BOE005": Code(
        "The YAML cannot be read",
        "The text breaks a rule of YAML at this place: a quote or a bracket that is "
        "not closed, a line that is not lined up with its neighbours. The rest of the "
        "document is not read, so more Problems may show once this one is mended.",
    ),
    "BOE006": Code(
        "A tab where spaces belong",
        "YAML is indented with spaces. Set your editor to insert spaces for the tab "
        "key in YAML files; `boe init` writes an `.editorconfig` that does.",
    ),
    "BOE007": Code(
        "A value that needs quotes",
        "The characters `*`, `@`, `%`, `` ` `` and `&` mean something else at the "
        "start of a value in YAML. Cron expressions are the usual case: write "
        '`cron: "*/5 * * * *"` and `cron: "@daily"`.',
    ),
    "BOE008": Code(
        "A template without quotes",
        "YAML reads `{{ x }}` as a map within a map. Put the whole value in quotes: "
        '`month: "{{ period.start }}"`.',
    ),
    "BOE009": Code(
        "A colon that YAML reads differently",
        "A key is followed by a colon and a space (`name: x`). Text that holds a colon "
        'and a space itself needs quotes (`title: "Sales: north"`).',
    ),
    "BOE010": Code(
        "A key stands twice",
        "A map has each key once. YAML parsers differ in which of two they take, so "
        "neither is taken: keep the one you mean.",
    ),
    "BOE011": Code(
        "An alias without an anchor",
        "`*name` repeats the value that `&name` marked before it. Text that begins "
        "with `*` needs quotes.",
    ),
    "BOE012": Code(
        "Too much is repeated by aliases",
        "The aliases of a file may repeat 10,000 values in all, so that a small file "
        "cannot grow without bounds. What many Schedules share belongs in a "
        "ScheduleTemplate.",
    ),
    "BOE013": Code(
        "An unknown tag",
        "Tags such as `!!python/object` or `!secret` mean nothing here. Secrets are "
        "written as `{env: NAME}` or `{file: path}`; text in quotes is always text.",
    ),
    "BOE014": Code(
        "A merge key",
        "The merge key `<<` is not part of YAML 1.2. Repeat the fields, or share them "
        "with a ScheduleTemplate.",
    ),
    "BOE015": Code(
        "A key that is not text",
        "A map or a list cannot be a key.",
    ),
    "BOE016": Code(
        "The file cannot be read",
        "Its objects keep their served version, and removals wait, until the file can "
        "be read again.",
    ),
    # The shape of a document.
    "BOE030": Code(
        "An empty document",
        "The file, or the part between two `---`, holds no value. It is left out; "
        "remove it if that is what you mean.",
    ),
    "BOE031": Code(
        "A document is not a map",
        "Each document is a map with `apiVersion`, `kind`, `metadata` and `spec`. "
        "Several documents in a file are separated by a line `---`, not written as a "
        "list.",
    ),
    "BOE032": Code(
        "An unknown apiVersion",
        "This version reads `apiVersion: boe/v1`.",
    ),
    "BOE033": Code(
        "An unknown kind",
        "`kind` says what the document describes: Schedule, Report, Distribution, "
        "Connection, Calendar, Group, ScheduleTemplate, Environment or Policy.",
    ),
    "BOE034": Code(
        "A field is missing",
        "The field has no default: it has to be written.",
    ),
    "BOE035": Code(
        "An unknown field",
        "Fields that are not part of the language are refused, so that a misspelt one "
        "is never silently without effect. The reference lists the fields of each "
        "kind.",
    ),
    "BOE036": Code(
        "A value of the wrong type",
        "Types are strict: nothing is guessed. `true` and `false` are the only "
        "booleans (`yes`, `no`, `on` and `off` are text), a number in quotes is text, "
        "and a value that YAML reads as a number needs quotes where text is expected.",
    ),
    "BOE037": Code(
        "Not one of the possible values",
        "The field takes one of a few fixed words.",
    ),
    "BOE038": Code(
        "A value in the wrong form",
        "The field takes text of a certain form: a name (`a-z`, `0-9` and `-`, at most "
        '63 characters), a duration (`15m`), a size (`25MB`), a time (`"06:30"`), a '
        "date (`2026-12-25`), an instant with its offset "
        "(`2026-12-25T06:30:00+01:00`).",
    ),
    "BOE039": Code(
        "A number out of bounds",
        "The number is smaller or larger than the field allows.",
    ),
    "BOE040": Code(
        "Too short or too long",
        "The text or list has fewer or more entries than the field allows.",
    ),
    "BOE041": Code(
        "Nobody owns it",
        "`metadata.owner` is an e-mail address or the name of a Group: whose limits "
        "count, and who hears of failures. Only Policy, Calendar, Group and "
        "Environment need none.",
    ),
    "BOE042": Code(
        "Not an e-mail address",
        "The form of an address is checked, not whether somebody reads it.",
    ),
    "BOE043": Code(
        "Fields that exclude each other",
        "Exactly one (or at most one) of these fields is given, since each is another "
        "way to say the same thing.",
    ),
    "BOE044": Code(
        "An unknown type",
        "`type` says which fields a Connection or a destination has. There are no "
        "plug-ins: a webhook is the way to reach what is not in the list.",
    ),
    "BOE045": Code(
        "A reserved field",
        "`metadata.namespace` is reserved for a later version.",
    ),
    "BOE046": Code(
        "A field without the one it needs",
        "The field has an effect only together with another one.",
    ),
    "BOE047": Code(
        "A definition that does not fit its type",
        "An enum lists its `values`, only an enum and a list have them, and a `default` "
        "is of the `type` that it stands beside.",
    ),
    "BOE048": Code(
        "The same name twice",
        "Names tell things apart, here within one list.",
    ),
    "BOE049": Code(
        "A secret in plain text",
        "Secrets never stand in git. Write where the value is found when it is needed: "
        "`{env: NAME}`, `{file: path}` or `{sops: file#key}`. A secret that was "
        "committed is known to everybody who can read the repo: change it.",
    ),
    "BOE050": Code(
        "A template of a template",
        "A ScheduleTemplate cannot itself use a template: what a Schedule gets is "
        "found in two places at most.",
    ),
    "BOE051": Code(
        "Ends before it begins",
        "A span of dates or times goes from the earlier to the later.",
    ),
    # Time.
    "BOE060": Code(
        "It is not clear when to run",
        "`when` needs exactly one of `cron`, `frequency`, `every` and `once`. Keep the "
        "one that you mean; two ways of running are two schedules.",
    ),
    "BOE061": Code(
        "No time zone",
        "Times are wall times of a zone that is written down, never of the machine "
        "that happens to run them. Add `timezone` to `when`, or once for all schedules "
        "under `spec.defaults` in policy.yaml.",
    ),
    "BOE062": Code(
        "An unknown time zone",
        "Zones are named as in the IANA time zone database: Europe/Berlin, "
        "America/New_York, UTC. Abbreviations such as CEST or PST name an offset, "
        "which is another one half a year later.",
    ),
    "BOE063": Code(
        "Not a cron expression of five fields",
        "A cron has five fields: minute, hour, day of month, month, day of week; or it "
        "is @hourly, @daily, @weekly, @monthly or @yearly. A sixth field means seconds "
        "in one engine and years in another, so it is refused; `every` counts seconds.",
    ),
    "BOE064": Code(
        "A part of a cron that is not understood",
        "Each field takes *, values, names (jan, mon), lists (1,15), ranges (mon-fri) "
        "and steps (*/15); the day of month takes L for the last day, the day of week "
        "5#2 for the second Friday. What other engines add (H, R, ?, W, L5) is "
        "read differently from one to the next, and is refused.",
    ),
    "BOE065": Code(
        "A range that begins at or after its end",
        "Engines read 5-5 as one value or as all of them, and 22-2 as an error, as "
        "nothing or as a night. Write the value alone, or the two parts of the night: "
        "22-23,0-2.",
    ),
    "BOE066": Code(
        "A step that leaves a single value",
        "*/90 in the minutes means once an hour, at minute 0, not every 90 minutes. "
        "Write the value that is left, or `every: 90m`.",
    ),
    "BOE067": Code(
        "It never runs",
        "No run falls into 10 years: the 31st of February, the 25th working day of a "
        "month, weekends alone with a calendar that has none, or start_at and end_at "
        "with nothing between them.",
    ),
    "BOE068": Code(
        "The n-th weekday together with a day of month",
        "5#2 is the second Friday of a month; together with a restricted day of month "
        "engines disagree about what is meant. Use * for the day of month, or a list "
        "of two crons.",
    ),
    "BOE069": Code(
        "Two restricted day fields",
        "`0 6 1 * mon` means the first of the month or any Monday, though it reads "
        "like a first that is a Monday. Say which: `day_match: or` or "
        "`day_match: and`.",
    ),
    "BOE070": Code(
        "An uneven step",
        "A step begins anew each hour (or day): */7 runs at minute 56 and then at "
        "minute 0. Use a step that divides 60 (or 24), or `every: 7m`, which counts "
        "real time.",
    ),
    "BOE071": Code(
        "A time that a clock change touches",
        "Where clocks go forward, this wall time does not exist on one day of the "
        "year, and the run comes as much later; where they go back it exists twice, "
        "and the run comes the first time. Nothing is lost or doubled. A time outside "
        "the change avoids the question, `dst` answers it: "
        "`dst: {gap: shift, fold: first}`.",
    ),
    "BOE072": Code(
        "More often than allowed",
        "The Policy's `min_interval` (one minute, if it says nothing) is the least "
        "distance of two runs of a schedule. Run less often, or change "
        "`spec.limits.min_interval` in policy.yaml; the floor is one second.",
    ),
    "BOE073": Code(
        "Fields that do not go together",
        "A field of `when` stands where it can have no effect: `at` and `on` belong to "
        "`frequency`, `day_match` to `cron`, `anchor` to `every`, `if_day_off` and "
        "business days to a `calendar`. Take it out, or add what it belongs to.",
    ),
    "BOE074": Code(
        "A day that does not suit the frequency",
        "`on` takes mon to sun for weekly, 1 to 31 and last for monthly and quarterly, "
        '"MM-DD" and last for yearly, and {business_day: n} for all of these. A '
        "negative n counts from the end; 0 is no day.",
    ),
    "BOE075": Code(
        "Not a time of day",
        'Times are written "HH:MM" in quotes, with 24 hours: "06:30", "18:05". An '
        'hourly schedule takes the minute alone: ":15".',
    ),
    "BOE076": Code(
        "It ends before it starts",
        "`end_at` lies before `start_at`. Swap them, or mend the year.",
    ),
    "BOE077": Code(
        "Instants out of order",
        "`once` lists each instant one time, from the earliest to the latest, so that "
        "a reviewer sees at a glance what was added.",
    ),
    "BOE078": Code(
        "An empty list",
        "The list holds nothing, so that nothing would run. Fill it in, or take the "
        "field out; `paused: true` stops a schedule for a while.",
    ),
    "BOE079": Code(
        "A day that not every month has",
        "The 29th, 30th or 31st is left out in months without it; nothing is moved. "
        "`last` is the last day of every month.",
    ),
    "BOE081": Code(
        "A calendar that ends soon",
        "The dates of a Calendar stand in git, and these end within 60 days: after "
        "them holidays count as working days. Add the years to come; "
        "`boe new calendar --country DE --years 2027-2029` writes public holidays.",
    ),
    "BOE082": Code(
        "Days off that end before they begin",
        "In {from: …, to: …} both days are off, and `from` is the earlier one.",
    ),
    # References.
    "BOE100": Code(
        "A name that leads nowhere",
        "The field names another object, and no document of this revision describes "
        "it. Names are those of `metadata.name`, and each kind has its own.",
    ),
    "BOE101": Code(
        "Two objects with one name",
        "A name is used once in each kind. Of two, the one that is already served goes "
        "on until one of them has another name.",
    ),
    "BOE102": Code(
        "A Connection of another type",
        "A Report reads from a database (duckdb, sqlite, postgres, sql); a destination "
        "needs a Connection of its own type (email: smtp or ses).",
    ),
    "BOE103": Code(
        "A file that is not there",
        "The field names a file of the repo: its path is relative to the YAML file "
        "that it stands in. The module of a transform is sought from the root.",
    ),
    "BOE104": Code(
        "A path that leaves the repo",
        "Files are named by their path from the YAML file, and stay inside the repo: "
        "no absolute paths, no `~`, and `..` only at the beginning.",
    ),
    "BOE105": Code(
        "An input that is not declared",
        "A Distribution lists what a Schedule may fill in under `spec.inputs`.",
    ),
    "BOE106": Code(
        "A required input is missing",
        "The Distribution cannot be used without it.",
    ),
    "BOE107": Code(
        "A value that does not fit its type",
        "Values of parameters and inputs are read strictly, as the type that the "
        "Report or the Distribution declares. Templates are filled in for the next "
        "occurrence first.",
    ),
    "BOE108": Code(
        "A parameter that the Report does not have",
        "A Report lists its parameters under `spec.parameters`.",
    ),
    "BOE109": Code(
        "A required parameter is missing",
        "The Report cannot run without it: give it under `spec.parameters` of the "
        "Schedule, or give it a default in the Report.",
    ),
    "BOE110": Code(
        "A file that is not what it should be",
        "A query file and a transform are text in UTF-8; a workbook template is an "
        ".xlsx file.",
    ),
    "BOE111": Code(
        "A link to where no link leads",
        "`link_to` names a destination of the same Distribution, or a Distribution "
        "with one destination, of type s3, gcs or azure.",
    ),
    "BOE112": Code(
        "Renamed, but still there",
        "`renamed_from` moves the history of an object to its new name: the old name "
        "must be gone in the same revision.",
    ),
    "BOE113": Code(
        "A format that this report does not fit",
        "xlsx, html and pdf hold several sheets, the other formats one table; a "
        "workbook template is filled in as xlsx only.",
    ),
    "BOE114": Code(
        "A transform that cannot be called",
        "`transform: shapes.margin:widen` means the function `widen` that the file "
        "`shapes/margin.py`, seen from the root of the repo, defines with `def` at its "
        "top level, and that takes one DataFrame. The file is read, not imported.",
    ),
    # Policy.
    "BOE130": Code(
        "More Schedules than their owner may have",
        "The Policy limits the Schedules of an owner (`limits.schedules_per_owner`, "
        "10 where nothing else is said). Those already served stay; newcomers count "
        "in the order of their files. Paused ones count.",
    ),
    "BOE131": Code(
        "A destination type that the Policy does not allow",
        "`allow.destinations` of the Policy lists the types of destinations.",
    ),
    "BOE132": Code(
        "An e-mail domain that the Policy does not allow",
        "`allow.email_domains` of the Policy lists the domains that mail may go to.",
    ),
    "BOE133": Code(
        "A host that the Policy does not allow",
        "`allow.hosts` of the Policy lists the machines that Connections and webhooks "
        "may reach; addresses of private networks need `allow.private_addresses`.",
    ),
    "BOE134": Code(
        "A transform that the Policy does not list",
        "Python code runs only where `allow.transforms` of the Policy lists its file, by "
        "its path from the root of the repo, such as `shapes/margin.py`. The Policy that is "
        "served judges: list the file first, and use it in a later change.",
    ),
    "BOE135": Code(
        "A field that the Policy requires",
        "`require` of the Policy lists fields that have to be filled in.",
    ),
    "BOE136": Code(
        "More recipients than the Policy allows",
        "`limits.max_recipients` of the Policy counts the addresses of one mail, "
        "members of Groups included.",
    ),
    "BOE137": Code(
        "A Policy in the wrong place",
        "There is one Policy, in `policy.yaml` at the root of the repo.",
    ),
    "BOE138": Code(
        "Removals wait",
        "When a revision removes many objects at once, they go on being served until "
        "somebody says that it is meant: the commit trailer `Boe-Allow-Removals: N`, "
        "or `boe run --allow-removals N`. `removals` of the Policy says "
        "what counts as many: more than 5 and more than 20 %, where nothing else is "
        "said.",
    ),
    "BOE145": Code(
        "A blackout without an end",
        "The window opens again before it has closed, time after time, so that its "
        "Connection is left alone for good and nothing that needs it ever runs. "
        "`duration` has to be shorter than the time from one opening to the next.",
    ),
    "BOE155": Code(
        "Change windows that never close, or overlap themselves",
        "`change_windows` of the Policy says when changes may be activated. A window "
        "that lasts longer than the time until it opens again, or windows that "
        "together cover all the time, do not do what they look like. (A warning.)",
    ),
    "BOE156": Code(
        "What looks like a credential",
        "A key, a token or a password stands in plain text: in a value, a comment, or a "
        "file that is named, such as a query. Known beginnings are looked for (of "
        "private keys, AWS, GitHub, GitLab, Slack, Google, Stripe, JSON Web Tokens, …), "
        "passwords in URLs, and `password=…` with a value that looks random. Nobody is "
        "shown what was found. Write a reference where the field takes one, and change "
        "the credential: whoever can read the repo knows it. Where it is none, end its "
        "line with `# boe:not-a-secret` (in SQL `-- boe:not-a-secret`).",
    ),
    "BOE157": Code(
        "An owner who is no code owner",
        "`codeowners: true` in the Policy asks that the owner of each object is among the "
        "code owners of its file, so that whoever answers for it also reviews it. An "
        "address counts as it is listed, a Group as `@NAME` or `@org/NAME`, or by the "
        "address of a member. Name the owner in CODEOWNERS, or choose another one.",
    ),
    "BOE158": Code(
        "A file without code owners",
        "`codeowners: true` in the Policy asks that every file has code owners, and nobody "
        "has to review this one. The last line of CODEOWNERS that fits a file counts; one "
        "without names leaves it to nobody. CODEOWNERS is looked for in `.github`, at the "
        "root, in `docs` and in `.gitlab`, and the first one is read.",
    ),
    # Of a whole revision.
    "BOE195": Code(
        "The commit is not signed by a listed key",
        "`BOE_GIT_ALLOWED_SIGNERS` or `BOE_GIT_GPG_HOME` says that only signed commits "
        "are served. The newest commit of the branch has no signature, or one by "
        "somebody who is not listed: all goes on as it was served before.",
    ),
    "BOE196": Code(
        "A rewritten history waits",
        "The newest commit of the branch does not descend from the one that is served, "
        "as after a force push, and `hold_rewritten_history` of the served Policy is "
        "true: all goes on as it was. Push commits that descend from it, or say that "
        "the new history is meant: `boe release <the commit>`.",
    ),
    "BOE160": Code(
        "Unknown token in a file name",
        "A file name is built from a closed list of tokens in single braces: "
        "{report_name}, {schedule_name}, {date}, {time}, {timestamp}, {year}, "
        "{month}, {day}, {period}, {part}, {run_id} and {format}. {file} stands "
        "only in a done_marker. Anything else in braces would end up in the "
        "name as it is, so it is refused.",
    ),
    "BOE161": Code(
        "Template in a file name",
        "{{ … }} belongs to parameters, subjects, bodies and inputs. A file "
        "name uses tokens in single braces, such as {date}.",
    ),
    "BOE162": Code(
        "File-name token in a template",
        "{date} and its like belong to file names. In parameters, subjects, "
        "bodies and inputs write a template, such as {{ occurrence.date() }}.",
    ),
    "BOE163": Code(
        "Brace without its partner",
        "Every { in a file name begins a token and needs its }. Braces "
        "themselves cannot stand in a file name.",
    ),
    "BOE164": Code(
        "Folder in a file name",
        "A file name holds no / or \\. Folders come from base_path and create_subdirs.",
    ),
    "BOE165": Code(
        "Date format that is not allowed",
        "{date:…}, {time:…} and {timestamp:…} take the codes %Y %y %m %d %H %M "
        "%S %j %V %G %u %b %B %a %A, which give the same text on every machine. "
        "Other tokens take no format.",
    ),
    "BOE166": Code(
        "Path that leaves its root",
        "A path is relative to its root and stays inside it: no .., no ~, no "
        "drive or backslash, no control characters. An absolute base_path is "
        "allowed only inside an absolute folder that Policy lists under "
        "allow.local_roots.",
    ),
    "BOE167": Code(
        "File name that says nothing",
        "Without a token that changes from run to run every file would have the "
        "same name. It works (later files are numbered), but is hardly what was "
        "meant.",
    ),
    "BOE170": Code(
        "Environment that is not here any more",
        "An Environment is served (`boe --env NAME run`), and the new revision does "
        "not hold it. It goes on as it was: without it, its runs would read and "
        "deliver like those of production.",
    ),
    "BOE171": Code(
        "Connection of another kind in an Environment",
        "An Environment may exchange a database for another type of database, and a "
        "mail server for another; what uses a Connection could not use any other type.",
    ),
    "BOE172": Code(
        "File that is no file of sops",
        "{sops: file#key} names a file of the repo that is encrypted with sops. Whatever "
        "stands in git in plain text is no secret any more: encrypt the file, and change "
        "the values.",
    ),
    "BOE173": Code(
        "Secret that does not resolve",
        "`boe validate --online` asked for it here and now, as a run would: with this "
        "machine's environment, files and keys.",
    ),
    "BOE174": Code(
        "Connection that does not answer",
        "`boe validate --online` connected as a run would and got no good answer.",
    ),
    "BOE175": Code(
        "Environment that delivers as production does",
        "An Environment without `redirect` differs in its Connections alone: its files go "
        "to the folders, and its mails to the people, that production has.",
    ),
    "BOE180": Code(
        "A template that cannot be read",
        "The text between {{ and }}, or {% and %}, is not Jinja2.",
    ),
    "BOE181": Code(
        "A template that cannot be filled in",
        "Templates see `occurrence`, `occurrence_utc`, `period`, `schedule`, "
        "`report`, `owner`, `run_id`, `parameters`, `inputs`, `part` (in a burst) and "
        "`rows` (in mails), and nothing else. They are tried with the next occurrence.",
    ),
    "BOE182": Code(
        "{period} without a period",
        "The file's name asks for the period of the report, and the Schedule has none: "
        "add `period`, such as previous_month.",
    ),
    "BOE200": Code(
        "Empty query",
        "A report needs a query, and this one holds nothing but space and comments.",
    ),
    "BOE201": Code(
        "More than one statement",
        "A query is one statement. A semicolon may end it, but nothing may follow.",
    ),
    "BOE202": Code(
        "Query that does not read",
        "A report's query is one SELECT-like statement: it begins with select "
        "or with (in DuckDB also from, describe, summarize, show).",
    ),
    "BOE203": Code(
        "Query that writes",
        "A report's query only reads: no insert, update, delete or merge inside "
        "with, no select … into. The database refuses it as well, at run time.",
    ),
    "BOE204": Code(
        "Parameter that is not declared",
        "Each :name in a query needs an entry under the Report's parameters. "
        "Values are bound by the database, never pasted into the text.",
    ),
    "BOE205": Code(
        "Parameter that is not used",
        "The Report declares a parameter that none of its queries uses. Remove "
        "it, or use it as :name.",
    ),
    "BOE206": Code(
        "Quote or parenthesis without its partner",
        "A quote, comment or parenthesis in the query is opened and never "
        "closed, or closed and never opened.",
    ),
    "BOE207": Code(
        "Placeholder of another kind",
        "Parameters are written :name, whatever the database; ?, $1 and $name are not.",
    ),
    "BOE208": Code(
        "Something is missing in the query",
        "Two words of the query follow each other that need something between "
        "them, such as `from where`.",
    ),
    "BOE210": Code(
        "A password that the file cannot carry",
        "xlsx and pdf files carry a password themselves; every other format needs "
        "`compress: zip` around it. With several formats without zip, each has to be "
        "one that can.",
    ),
    "BOE211": Code(
        "A workbook that cannot be split",
        "`on_too_many: split` makes several files of the rows of one query. A workbook "
        "with several sheets has no rows by which to split all of them.",
    ),
    "BOE212": Code(
        "Several formats, one name",
        "`export.format` is a list, and the file's name would be the same for each of "
        "its formats: add {format}, which reads xlsx, csv and so on.",
    ),
    "BOE220": Code(
        "Schedules that wait for each other",
        "None of them can ever begin: each waits for a run of the next, and the last "
        "for one of the first. Take one `wait_for` of the circle away.",
    ),
    "BOE221": Code(
        "File to wait for outside the data folder",
        "`wait_for` looks for files below the data folder (BOE_DATA_ROOT): write a path "
        "from there, such as `incoming/sales_{date}.csv`, without `..`.",
    ),
    "BOE222": Code(
        "Schedule to wait for that is not due on that day",
        "`same: day` means a run whose time lies on the same day, in the zone of the "
        "Schedule that waits. On a day without one it waits in vain.",
    ),
    "BOE223": Code(
        "Approval that ends by itself at no time",
        "`otherwise: send` lets the files go when nobody answered by `before`. Without "
        "`before` that time never comes.",
    ),
    "BOE250": Code(
        "Mail without a sender",
        "A mail needs the address that it comes from: `from` of the Connection, or of "
        "the destination, which wins.",
    ),
    "BOE280": Code(
        "Report that cannot be a burst",
        "A burst deals the rows of one query to its parts, a file for each. A workbook "
        "with several sheets has no such rows, and `on_too_many: split` would cut the "
        "same files a second time.",
    ),
    "BOE281": Code(
        "What a query for each part cannot do",
        "With `mode: query` the report is asked once for each part. So the parts have to "
        "be known before (`values_from` reads them from the rows), and there are no rows "
        "of the whole that `if_unchanged` could compare.",
    ),
    "BOE282": Code(
        "File with recipients that cannot be read",
        "`recipients_file` is a csv file in UTF-8: a header whose names differ, among them "
        "the column of `split_on`, and below it as many values in each line, that of "
        "`split_on` never empty.",
    ),
    "BOE283": Code(
        "Wrong address in a file with recipients",
        "What has an @ in a `recipients_file` is taken for an address, and this is none "
        "that mail can be sent to.",
    ),
    "BOE284": Code(
        "More parts than the burst may have",
        "The `recipients_file` has more keys than `max_parts` allows: each of its runs "
        "would fail.",
    ),
    # Delivering.
    "BOE230": Code(
        "Link that works for too long",
        "Links are signed, and stores let a signed link work for 7 days at most "
        "(Azure: those that the machine's own identity signs; a key has no limit).",
    ),
    "BOE231": Code(
        "Link that ends before it should",
        "A Connection of S3 without a key of its own signs with the machine's role, "
        "whose credentials end within hours, and each link with them. The run refuses "
        "to give a link that would not last.",
    ),
    "BOE240": Code(
        "Address of a webhook that is no web address",
        "Messages are posted to a whole address: https:// (or http://, where "
        "nobody listens on the way), a host, and what follows it.",
    ),
    "BOE290": Code(
        "Bounces that are not known for ours",
        "Each mail leaves with a return path of its own, which adds 33 characters before "
        "the @ of the sender, and 64 may stand there. Where it has no room, bounces have "
        "no effect: nobody is told, and the address gets the next mail. `bounces.address` "
        "names another address for them. (A warning.)",
    ),
    "BOE294": Code(
        "Rows in clear beside a file with a password",
        "`preview_rows` shows the first rows in the mail itself, which everybody reads "
        "who sees the mail: a password on its file protects nothing then. Runs leave "
        "such a preview out.",
    ),
    "BOE295": Code(
        "Unsubscribing that does not work",
        "`unsubscribe.url` is a web address, https for one click; mail programs post to it "
        "by themselves, so it has to say who wants no more: `{{ recipient }}`. "
        "`unsubscribe.mailto` is a mail address, after which `?subject=…` may follow. "
        "(A warning where it works, but not by one click.)",
    ),
    # Telling people.
    "BOE270": Code(
        "Failures that nobody is told of",
        "The Policy names no ops channel, and there are Schedules that send files away (or "
        "have a `notify`) and whose owner cannot be mailed: they deliver no mail, and "
        "there is no Connection of type smtp or ses, or several. `notices: {ops: [NAME]}` "
        "names a Distribution with an email or a webhook that is told of every failure; "
        "`notices: {ops: []}` says that nobody is meant, or that `BOE_NOTICE_URL` is "
        "told. (A warning.)",
    ),
    "BOE271": Code(
        "Ops channel that reaches nobody",
        "Notices go through the destinations of type email and webhook of the "
        "Distributions that `notices.ops` names: no file is made of them. (A warning.)",
    ),
}
