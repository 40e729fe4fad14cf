"""The few findings that call for somebody to act: `select` chooses them, `page` writes them."""
