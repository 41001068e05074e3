"""Published data sets as they are downloaded; nothing here decides how they are used."""
