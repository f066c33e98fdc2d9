"""What the services share. Services import the kernel and never each other."""
