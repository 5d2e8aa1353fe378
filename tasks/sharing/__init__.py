"""How stages share their imports: each is forked from a process that has them in memory, and is as if it had been started."""
