def unseen(seen): return []
