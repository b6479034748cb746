"""What the commands do, a file each. Nothing here prints."""
