"""What each kind of registry posts: one file a dialect, bytes in, ``PushEvent`` out. Pure."""
