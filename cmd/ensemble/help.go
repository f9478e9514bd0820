package main

const usageText = `Ensemble looks at what members of an ensemble keep on disk, makes backups of it and restores them.

	ensemble inspect [-json] [-records] [-verify] [-progress] DIR
	ensemble backup DIR > FILE
	ensemble restore -members 1,2,3 [-observers 4,5] [-name NAME] [-epoch N] DIR < FILE
	ensemble help inspect
	ensemble help backup
`

const backupText = `Backup writes what a stopped member has logged to the standard output, and changes nothing. Restore begins the directory of a member from it.

	ensemble backup DIR > FILE
	ensemble restore -members 1,2,3 [-observers 4,5] [-name NAME] [-epoch N] DIR < FILE

	-members    ids of the voters of the new ensemble, as in each member's Config; with groups and weights: 1:1:1,2:1:1,3:2:1
	-observers  ids of the others
	-name       name of the new ensemble, as in each member's Config
	-epoch      where the new ensemble begins: above that of every write that was ever acknowledged; 0: 65536 above that of the backup

This is the way out when a majority of the disks is lost: back up what is left, the member with the greatest zxid; move its directory away; restore on
every member, each with the same FILE and the same flags; then start them. The new ensemble refuses members of the old one. A member that could
not be restored starts with an empty directory, and is brought up to date by the others.

Never restore a member again that has run since: start it with an empty directory. Restoring it twice can lose acknowledged writes.

Exit status: 0, or 2 with the reason on standard error. What was written to FILE before an error is refused by restore. A restore that was
interrupted is repeated.
`

const inspectText = `Inspect says what is in the directory of a member, and changes nothing there.

	ensemble inspect [-json] [-records] [-verify] [-progress] DIR

	-json      one JSON object a line instead of text
	-records   list every record, also those that are not in force; never their data
	-verify    read every file to its end, and let the exit status tell of damage
	-progress  report progress on standard error, at most once a second, also if that is no terminal

Exit status:

	0  the directory could be read; with -verify: and it is not damaged
	1  with -verify: it is damaged: the log is impaired, a slot of the mark or a snapshot cannot be used, or a snapshot that is needed is gone
	2  a mistake in the arguments, or the directory cannot be read

A last batch that was cut short by a crash or a power loss (a torn tail) is not damage: the next start cuts it by itself.

The directory may be that of a running member. No lock is taken, so what is shown is one moment of it: a batch in the making looks like a
torn tail, and what is written between two reads may look like damage. What looks damaged is read again until two
looks agree, three times at most; if the member runs, stop it and look once more before you act on it.

The lines of -json come in this order, each with its "type". A field that is zero, false or empty may be left out; new ones may be added. Zxids
are strings "epoch.counter", ids are hexadecimal, positions, offsets and bytes are numbers.

	directory  dir, format (newest that this program reads), member, name and ensemble (of the ensemble), inUse ("yes", "no", "unknown"),
	           pid (of who uses it), fresh (nothing was ever written)
	mark       a slot: file, state ("chosen", "spare", "bad", "missing"), fault (why it is bad), format, generation, promised and joined (epochs),
	           counts, born, spoilt, cleanStop, durable (position up to which the log was, when this was written), acknowledged,
	           from (positions before it may be missing), member, name, ensemble, incarnation
	segment    file, number, id, state ("log", "damaged", "not read": it lies behind damage, "left over": the next start removes it,
	           "unused"), fault, format, before (file that it goes on from), first and last (positions), records, batches, entries, truncs,
	           resets, carried (records written before the file had its name), lowest and highest (zxids of its entries), lowestEpoch,
	           highestEpoch, bytes, end (where its records end), member, ensemble
	epoch      of the entries in force, or of those before the damage: epoch, first and last (zxids), entries
	snapshot   file, state ("next": a start begins with it, "spare": it would do, too, "unfit": it is whole and not a point of the log's history,
	           "damaged": a start passes over it, "foreign": of another ensemble, "unknown": the log is damaged, "part": it is being received, or
	           was), checked ("ends": header and trailer, "all": every byte, with -verify), fault (why it is damaged, or unfit), zxid, position
	           (of the record of the log with which its state was reached), bytes (of the file), chunks, length (of all chunks), digest (CRC-64 of
	           them), spans (of each epoch of the history the last zxid), members (how many were readmitted), created, id (of the sequence of
	           chunks), ensemble
	leftover   file, bytes: the next start removes it
	other      file: not the member's, left alone
	evidence   a directory with what was damaged and set aside: dir ("." is this one), state ("whole", "in part": a repair was cut short), why
	record     with -records: file, offset, bytes, inLog (it was read as part of the log), position, batch, endsBatch, generation (of the mark,
	           the lower half), kind ("data", "readmit", "digest", "entry": one of these that cannot be read, "trunc": everything after zxid
	           is dead, "reset": the history begins anew with a snapshot up to zxid), zxid, length (of the payload), crc ("ok", "bad"), fault (what is wrong)
	verify     with -verify: files, bytes, records (whole ones), faulty (stretches that are no whole record in its place), snapshots (whole
	           ones), damagedSnapshots
	verdict    verdict ("clean", "torn tail", "impaired"), damaged, unclean (it was not stopped properly), where, why, cutBytes and
	           cutRecords (what a torn tail loses), position (of the last record), acknowledged, seen (greatest zxid of any record), reset (zxid of the
	           snapshot with which the history begins), base (zxid before the first entry), snapshot (file that a start begins with), summary,
	           advice (what to do)

The verdict is the last line: an output without it is not whole.
`
