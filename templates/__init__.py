"""The Jinja templates of the generated modules; shape, no logic."""
