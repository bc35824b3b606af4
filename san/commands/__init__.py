"""The sub-commands of the console command `san`, one file each."""
