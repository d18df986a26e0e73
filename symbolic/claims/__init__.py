"""Claims: what people say a derivative is, read, judged and explained."""
