"""Child processes that hold one framework each: a crash, a hang or a flood is a result there, never ours.

`wire` is the format of the messages, `pool` and `client` are the parent's side, `server` is the child's. A worker knows
no framework and no task by name: it is asked to call "package.module:function", and keeps what that leaves behind.
"""
