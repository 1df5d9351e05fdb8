"""What the server tells a zygote about one of its children, on that one's status socket."""

HALT = b"h"
RESUME = b"r"
