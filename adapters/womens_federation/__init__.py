"""Women's Federation (妇联): the 12338 hotline's nightly CSV files over SFTP; parenting-guidance tickets go back the same way."""
