def unseen(seen):
    return []
