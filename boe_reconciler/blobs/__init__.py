"""Where finished files are kept until nobody needs them."""
