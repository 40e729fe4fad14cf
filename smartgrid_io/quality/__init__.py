"""Great Expectations suites over our tables, and the Data Docs that show their runs."""
