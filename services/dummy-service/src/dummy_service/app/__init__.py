"""What the service decides, without talking to anybody: `counting`, the work of its job."""
