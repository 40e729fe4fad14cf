"""The tables: a contract states columns, key and rules; `tables` lists all of them."""
