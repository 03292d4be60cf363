"""The developer portal: people who use our Apis find them, get keys, and see their own traffic."""
