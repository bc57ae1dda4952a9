// Package store knows how a CA's inventory is kept: which certificates there
// are, which of them are revoked and why, and the numbers of its CRLs. It keeps
// them in an SQLite file, or in PostgreSQL where several machines issue from one
// CA; it issues nothing itself.
//
// What it guarantees:
//
//   - A serial number is there once. Two issuers against one database never
//     repeat one: the database refuses the second.
//   - What [Store.Add] and [Store.Revoke] have returned from lasts.
//   - A database that is gone, busy or full gives an error that matches
//     [ErrUnavailable], within the store's patience, and changes nothing.
//   - The schema is made and brought up to date by [Open], by one process at a
//     time; a database of a later version is refused.
//
// A [Store] may be used concurrently, by several processes and machines.
package store
