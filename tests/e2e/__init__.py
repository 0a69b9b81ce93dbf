"""The whole embedded platform as a person has it: `streamforge up`, REST, and what is in the database then."""
