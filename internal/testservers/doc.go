// Package testservers starts the real servers that tests talk to: Redis (alone,
// with replicas, behind Sentinels, as a Cluster, over TLS), an S3 gateway, the
// public emulators of Google Cloud Storage and Azure Blob, and a TCP proxy that
// breaks connections on demand. Each is a process of its own on a free
// loopback port, keeps its files in the test's temporary
// folder, has answered before it is handed to the test, and is killed at the
// test's end.
//
// A program that is not there fails the test and says how to get it; nothing
// is skipped. Only test files import this package.
package testservers
