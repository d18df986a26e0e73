"""From equations to source: lower, schedule, print, render. Knows `symbolic`."""
