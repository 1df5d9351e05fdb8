"""What runs in the processes of user files: the one that starts them, and theirs.

`zygote` is the first, `child` the second. Nothing here talks to the server but through the sockets
that it was given.
"""
