"""A real Apache Kafka on this machine: `java` finds a JVM, `install` fetches the jars, `broker` runs one broker."""
