"""HTTP: requests with limits, deadlines and retries. `client` sends them."""
