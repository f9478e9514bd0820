package main

// The rows are what is shown, in text and in JSON. The names of their fields are a promise; see inspectText.

type directoryRow struct {
	Type     string `json:"type"`
	Dir      string `json:"dir"`
	Format   int    `json:"format"`
	Member   uint64 `json:"member,omitempty"`
	Name     string `json:"name,omitempty"`
	Ensemble string `json:"ensemble,omitempty"`
	InUse    string `json:"inUse"`
	PID      int    `json:"pid,omitempty"`
	Fresh    bool   `json:"fresh,omitempty"`
}

type markRow struct {
	Type         string `json:"type"`
	File         string `json:"file"`
	State        string `json:"state"`
	Fault        string `json:"fault,omitempty"`
	Format       uint16 `json:"format,omitempty"`
	Generation   uint64 `json:"generation,omitempty"`
	Promised     uint32 `json:"promised,omitempty"`
	Joined       uint32 `json:"joined,omitempty"`
	Counts       bool   `json:"counts,omitempty"`
	Born         bool   `json:"born,omitempty"`
	Spoilt       bool   `json:"spoilt,omitempty"`
	CleanStop    bool   `json:"cleanStop,omitempty"`
	Durable      uint64 `json:"durable,omitempty"`
	Acknowledged uint64 `json:"acknowledged,omitempty"`
	From         uint64 `json:"from,omitempty"`
	Member       uint64 `json:"member,omitempty"`
	Name         string `json:"name,omitempty"`
	Ensemble     string `json:"ensemble,omitempty"`
	Incarnation  string `json:"incarnation,omitempty"`
}

type segmentRow struct {
	Type         string `json:"type"`
	File         string `json:"file"`
	Number       uint64 `json:"number,omitempty"`
	ID           string `json:"id,omitempty"`
	State        string `json:"state"`
	Fault        string `json:"fault,omitempty"`
	Format       uint16 `json:"format,omitempty"`
	Before       string `json:"before,omitempty"`
	First        uint64 `json:"first,omitempty"`
	Last         uint64 `json:"last,omitempty"`
	Records      int    `json:"records"`
	Batches      int    `json:"batches"`
	Entries      int    `json:"entries"`
	Truncs       int    `json:"truncs,omitempty"`
	Resets       int    `json:"resets,omitempty"`
	Carried      uint64 `json:"carried,omitempty"`
	Lowest       string `json:"lowest,omitempty"`
	Highest      string `json:"highest,omitempty"`
	LowestEpoch  uint32 `json:"lowestEpoch,omitempty"`
	HighestEpoch uint32 `json:"highestEpoch,omitempty"`
	Bytes        int64  `json:"bytes"`
	End          int64  `json:"end,omitempty"`
	Member       uint64 `json:"member,omitempty"`
	Ensemble     string `json:"ensemble,omitempty"`
}

type epochRow struct {
	Type    string `json:"type"`
	Epoch   uint32 `json:"epoch"`
	First   string `json:"first"`
	Last    string `json:"last"`
	Entries int    `json:"entries"`
}

type snapshotRow struct {
	Type     string   `json:"type"`
	File     string   `json:"file"`
	State    string   `json:"state"`
	Checked  string   `json:"checked,omitempty"`
	Fault    string   `json:"fault,omitempty"`
	Zxid     string   `json:"zxid,omitempty"`
	Position uint64   `json:"position,omitempty"`
	Bytes    int64    `json:"bytes"`
	Chunks   uint32   `json:"chunks,omitempty"`
	Length   uint64   `json:"length,omitempty"`
	Digest   string   `json:"digest,omitempty"`
	Spans    []string `json:"spans,omitempty"`
	Members  int      `json:"members,omitempty"`
	Created  string   `json:"created,omitempty"`
	ID       string   `json:"id,omitempty"`
	Ensemble string   `json:"ensemble,omitempty"`
}

// fileRow is a leftover.
type fileRow struct {
	Type  string `json:"type"`
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

type otherRow struct {
	Type string `json:"type"`
	File string `json:"file"`
}

type recordRow struct {
	Type       string `json:"type"`
	File       string `json:"file"`
	Offset     int64  `json:"offset"`
	Bytes      int64  `json:"bytes"`
	InLog      bool   `json:"inLog,omitempty"`
	Position   uint64 `json:"position,omitempty"`
	Batch      uint64 `json:"batch,omitempty"`
	EndsBatch  bool   `json:"endsBatch,omitempty"`
	Generation uint32 `json:"generation,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Zxid       string `json:"zxid,omitempty"`
	Length     uint32 `json:"length,omitempty"`
	CRC        string `json:"crc"`
	Fault      string `json:"fault,omitempty"`
}

type verifyRow struct {
	Type    string `json:"type"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Records int    `json:"records"`
	Faulty  int    `json:"faulty"`

	Snapshots        int `json:"snapshots"`
	DamagedSnapshots int `json:"damagedSnapshots"`
}

type evidenceRow struct {
	Type  string `json:"type"`
	Dir   string `json:"dir"`
	State string `json:"state"`
	Why   string `json:"why,omitempty"`
}

type verdictRow struct {
	Type         string   `json:"type"`
	Verdict      string   `json:"verdict"`
	Damaged      bool     `json:"damaged"`
	Unclean      bool     `json:"unclean,omitempty"`
	Where        string   `json:"where,omitempty"`
	Why          string   `json:"why,omitempty"`
	CutBytes     int64    `json:"cutBytes,omitempty"`
	CutRecords   int      `json:"cutRecords,omitempty"`
	Position     uint64   `json:"position"`
	Acknowledged uint64   `json:"acknowledged"`
	Seen         string   `json:"seen,omitempty"`
	Reset        string   `json:"reset,omitempty"`
	Base         string   `json:"base,omitempty"`
	Snapshot     string   `json:"snapshot,omitempty"`
	Summary      string   `json:"summary"`
	Advice       []string `json:"advice"`
}
