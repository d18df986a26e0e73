"""What the command line offers, a file each: its help, its arguments, and what it does, which is its exit status."""
