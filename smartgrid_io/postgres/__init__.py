"""PostgreSQL: the embedded server, the tables and their migrations, the Warehouse and its COPY."""
