"""What people read: documents made of equations, and their writers (text, LaTeX, Markdown, HTML)."""
