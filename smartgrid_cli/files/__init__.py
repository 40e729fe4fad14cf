"""Files that a user names.

Columns, times and resolution read or refused; folders that results go to.
"""
