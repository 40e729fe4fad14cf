"""What people see: tables, progress, and the queries behind them."""
