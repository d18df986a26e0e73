"""What was probably meant by a line that is wrong."""
