"""Rooms between processes: a promise's methods as messages, its errors as problems, and who asks and answers them."""
