package embedded

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// layoutVersion is that of every file of kfake's.
const layoutVersion = 1

// topicsFile is kfake's topics.json.
type topicsFile struct {
	Version int          `json:"version"`
	Topics  []topicEntry `json:"topics"`
}

type topicEntry struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"` // base64 of 16 bytes
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicas"`
	Configs    map[string]string `json:"configs,omitempty"`
}

// topicID is the topic's id; false: it is none.
func (t *topicEntry) topicID() (id [16]byte, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(t.ID)
	return id, err == nil && copy(id[:], raw) == len(id)
}

type metaFile struct {
	Version   int    `json:"version"`
	ClusterID string `json:"cluster_id"`
}

type configsFile struct {
	Version int               `json:"version"`
	Configs map[string]string `json:"configs"`
}

// stateFile is a file that every data directory has. kfake takes one that is
// missing for one with nothing in it.
type stateFile struct {
	name  string
	json  bool
	read  func(m *recovery, raw []byte) error
	blank func(m *recovery) any // what takes its place when its loss is accepted
}

// stateFiles are in the order in which kfake makes them at the first start: a
// process that was killed during it leaves the first few.
func stateFiles() []stateFile {
	version := func(*recovery) any { return metaFile{Version: layoutVersion} }
	return []stateFile{
		{"meta.json", true, func(_ *recovery, raw []byte) error { return decode(raw, new(metaFile)) },
			func(m *recovery) any { return metaFile{layoutVersion, m.clusterID} }},
		{"topics.json", true, (*recovery).readTopics, func(m *recovery) any { return m.topicsByFolders() }},
		{"acls.json", true, func(_ *recovery, raw []byte) error {
			return decode(raw, &struct {
				ACLs []struct {
					Principal    string `json:"principal"`
					Host         string `json:"host"`
					ResourceType int8   `json:"resource_type"`
					ResourceName string `json:"resource_name"`
					Pattern      int8   `json:"pattern"`
					Operation    int8   `json:"operation"`
					Permission   int8   `json:"permission"`
				} `json:"acls"`
			}{})
		}, version},
		{"sasl.json", true, func(_ *recovery, raw []byte) error {
			type scram struct {
				Salt       []byte `json:"salt"`
				SaltedPass []byte `json:"salted_pass"`
				Iterations int    `json:"iterations"`
			}
			return decode(raw, &struct {
				Plain    map[string]string `json:"plain"`
				Scram256 map[string]scram  `json:"scram256"`
				Scram512 map[string]scram  `json:"scram512"`
			}{})
		}, version},
		{"broker_configs.json", true, (*recovery).readConfigs, version},
		{"quotas.json", true, func(_ *recovery, raw []byte) error {
			return decode(raw, &struct {
				Quotas []struct {
					Entity []struct {
						Type string  `json:"type"`
						Name *string `json:"name"`
					} `json:"entity"`
					Values map[string]float64 `json:"values"`
				} `json:"quotas"`
			}{})
		}, version},
		{name: "groups.log"},
		{name: "pids.log"},
	}
}

// decode reads one of kfake's JSON files.
func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return errors.New("is empty")
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("is unreadable: %w", err)
	}
	if v.Version > layoutVersion {
		return fmt.Errorf("has version %d, and this program knows %d", v.Version, layoutVersion)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("is unreadable: %w", err)
	}
	return nil
}

func (m *recovery) readTopics(raw []byte) error {
	var f topicsFile
	if err := decode(raw, &f); err != nil {
		return err
	}
	topics := make(map[string]topicEntry)
	for _, t := range f.Topics {
		id, err := base64.StdEncoding.DecodeString(t.ID)
		if _, twice := topics[t.Name]; twice || err != nil || len(id) != 16 || !validTopicName(t.Name) || t.Partitions < 0 || t.Partitions > math.MaxInt32 {
			return fmt.Errorf("is unreadable: topic %q with id %q and %d partitions cannot be", t.Name, t.ID, t.Partitions)
		}
		topics[t.Name] = t
	}
	m.topics = topics
	return nil
}

func (m *recovery) readConfigs(raw []byte) error {
	var f configsFile
	if err := decode(raw, &f); err != nil {
		return err
	}
	m.compactByDefault = strings.Contains(f.Configs["log.cleanup.policy"], "compact")
	return nil
}

func (m *recovery) compact(topic string) bool {
	if policy, ok := m.topics[topic].Configs["cleanup.policy"]; ok {
		return strings.Contains(policy, "compact")
	}
	return m.compactByDefault
}

// checkFiles reads every state file, and finds those that are missing, empty,
// unreadable, or not what the last orderly stop left.
func (m *recovery) checkFiles() error {
	files := stateFiles()
	raws := make([][]byte, len(files))
	last := -1
	for i, f := range files {
		raw, err := os.ReadFile(filepath.Join(m.dir, f.name))
		if err == nil {
			raws[i], last = raw, i
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(m.folders) > 0 {
		last = len(files)
	}
	if last < 0 {
		return nil // the first start
	}
	var faults []error
	for i, f := range files {
		faults = append(faults, m.checkFile(f, raws[i], i < last))
	}
	return errors.Join(faults...)
}

// checkFile checks one file; nil is a missing file. A file that is missing because the
// first start was interrupted is made.
func (m *recovery) checkFile(f stateFile, raw []byte, needed bool) error {
	var fault error
	switch {
	case raw == nil && !needed:
		return m.makeBlank(f)
	case raw == nil:
		fault = errors.New("is missing")
	case f.json:
		fault = f.read(m, raw)
	}
	if fault == nil {
		fault = m.manifest.compare(f, raw)
	}
	if fault == nil {
		return nil
	}
	if err := m.missing(f.name, fault.Error()); err != nil {
		return err
	}
	if raw != nil {
		if !f.json || f.read(m, raw) == nil {
			return m.changed(f.name) // what is left of it is read
		}
		if _, err := m.copies.moveAway(f.name); err != nil {
			return err
		}
	}
	return m.makeBlank(f)
}

func (m *recovery) makeBlank(f stateFile) error {
	if !f.json {
		return errors.Join(writeFile(filepath.Join(m.dir, f.name), bytes.NewReader(nil)), m.changed(f.name))
	}
	blank, err := json.Marshal(f.blank(m))
	if err != nil {
		return err
	}
	return errors.Join(f.read(m, blank), replaceFile(filepath.Join(m.dir, f.name), bytes.NewReader(blank)), m.changed(f.name))
}

// changed notes that a file was changed on purpose since Open or Close: the next start
// must not refuse it, if this one is interrupted.
func (m *recovery) changed(name string) error {
	if _, ok := m.manifest.Files[name]; !ok {
		return nil
	}
	delete(m.manifest.Files, name)
	return m.manifest.write(m.dir)
}

// missing returns the error for a file without readable content, or nil and a line in the
// report if the loss is accepted.
func (m *recovery) missing(name, what string) error {
	if m.acceptLoss {
		m.note(damagedPart{File: name, What: what + "; accepted", Lost: true, NextOffset: -1})
		return nil
	}
	return fmt.Errorf("%s %s: put it back from a backup, or accept that what it held is lost (Config.AcceptLoss; kring serve --accept-data-loss)", name, what)
}

// topicsByFolders makes topics.json anew: names and partitions are in the
// names of the folders, identities and settings are lost.
func (m *recovery) topicsByFolders() topicsFile {
	f := topicsFile{Version: layoutVersion}
	count := make(map[string]int)
	for name := range m.folders {
		if topic, n, ok := folderTopic(name); ok && validTopicName(topic) {
			count[topic] = max(count[topic], int(n)+1)
		}
	}
	for topic, n := range count {
		f.Topics = append(f.Topics, topicEntry{Name: topic, ID: newTopicID(), Partitions: n, Replicas: 1})
	}
	return f
}

// folderName is the folder of a partition, as kfake names it.
func folderName(topic string, partition int32) string {
	return fmt.Sprintf("%s-%d", url.PathEscape(topic), partition)
}

func folderTopic(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0, false
	}
	topic, err := url.PathUnescape(name[:i])
	n, nerr := strconv.ParseInt(name[i+1:], 10, 32)
	return topic, int32(n), err == nil && nerr == nil && n >= 0 && n < partitionsMax && folderName(topic, int32(n)) == name
}

// listFolders finds the partitions' folders, and whether they have records.
func (m *recovery) listFolders() error {
	dirs, err := os.ReadDir(filepath.Join(m.dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range dirs {
		// Stat: what was moved to another disk is followed by its link.
		if info, err := os.Stat(filepath.Join(m.dir, "partitions", d.Name())); err != nil || !info.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(m.dir, "partitions", d.Name()))
		if err != nil {
			return err
		}
		bytes := int64(0)
		for _, f := range files {
			if !strings.HasSuffix(f.Name(), ".dat") {
				continue
			}
			if info, err := os.Stat(filepath.Join(m.dir, "partitions", d.Name(), f.Name())); err == nil {
				bytes += info.Size()
			}
		}
		m.folders[d.Name()] = bytes
	}
	return nil
}

// checkFolders finds missing folders, and moves away those without a topic: a new topic of
// that name would get their records.
func (m *recovery) checkFolders() error {
	known := make(map[string]bool)
	var faults []error
	for _, t := range m.topics {
		was := m.manifest.Topics[t.Name]
		for n := range t.Partitions {
			name := folderName(t.Name, int32(n))
			known[name] = true
			if _, ok := m.folders[name]; !ok && was.ID == t.ID && was.Bytes[strconv.Itoa(n)] > 0 && !m.deleting[t.Name] && !m.deleting[t.ID] {
				faults = append(faults, m.missing(filepath.Join("partitions", name), "is missing; the partition had records"))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for name, size := range m.folders {
		if known[name] {
			continue
		}
		file := filepath.Join("partitions", name)
		kept, err := m.copies.moveAway(file)
		if err != nil {
			return err
		}
		delete(m.folders, name)
		topic, _, _ := folderTopic(name)
		m.note(damagedPart{File: file, What: "belongs to no topic in topics.json; moved away", Lost: size > 0 && !m.deleting[topic],
			Bytes: size, Copy: kept, NextOffset: -1})
	}
	return nil
}

// manifest is kring.manifest: what a data directory had at the end of Open or Close. It
// distinguishes a missing file from one that never existed.
type manifest struct {
	Version int `json:"version"`
	// Clean says that Close wrote it: until the next Open nothing changes.
	Clean  bool                     `json:"clean"`
	Files  map[string]manifestFile  `json:"files,omitempty"`
	Topics map[string]manifestTopic `json:"topics,omitempty"`
	// Snapshots are the checksums of the partitions' snapshots, by folder, as
	// snapshot.checksum makes them.
	Snapshots map[string]uint32 `json:"snapshots,omitempty"`
}

type manifestFile struct {
	Bytes int64  `json:"bytes"`
	CRC   uint32 `json:"crc32c"`
}

type manifestTopic struct {
	ID    string           `json:"id"`
	Bytes map[string]int64 `json:"bytes"` // by partition
}

// manifestName is a line of JSON and a line with its checksum.
const (
	manifestName = "kring.manifest"
	manifestSum  = "crc32c %08x\n"
)

// compare says how a file differs from what Open or Close left.
func (n *manifest) compare(f stateFile, raw []byte) error {
	was, ok := n.Files[f.name]
	if !ok {
		return nil
	}
	if len(raw) == 0 && was.Bytes > 0 {
		return fmt.Errorf("is empty; it had %d bytes", was.Bytes)
	}
	if !n.Clean || !f.json && int64(len(raw)) >= was.Bytes {
		return nil // entries of a log have checksums of their own
	}
	if int64(len(raw)) != was.Bytes {
		return fmt.Errorf("has %d bytes, and had %d when the cluster stopped", len(raw), was.Bytes)
	}
	if crc32.Checksum(raw, castagnoli) != was.CRC {
		return errors.New("was changed since the cluster stopped")
	}
	return nil
}

func (m *recovery) readManifest() error {
	raw, err := os.ReadFile(filepath.Join(m.dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // directories of older versions have none
	}
	if err != nil {
		return err
	}
	line, sum, _ := bytes.Cut(raw, []byte("\n"))
	if string(sum) != fmt.Sprintf(manifestSum, crc32.Checksum(line, castagnoli)) || json.Unmarshal(line, &m.manifest) != nil {
		m.manifest, m.spoiled = manifest{}, true
		m.note(damagedPart{File: manifestName, What: "unreadable; it is made anew. Files that are missing may not be missed", NextOffset: -1})
	}
	m.clean = m.manifest.Clean
	return nil
}

// writeManifest describes a directory that nobody writes to.
func writeManifest(dir string, clean bool) error {
	m := &recovery{dir: dir, folders: make(map[string]int64)}
	n := manifest{Version: layoutVersion, Clean: clean, Files: make(map[string]manifestFile), Topics: make(map[string]manifestTopic)}
	for _, f := range stateFiles() {
		raw, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			return err
		}
		n.Files[f.name] = manifestFile{int64(len(raw)), crc32.Checksum(raw, castagnoli)}
		if f.name == "topics.json" {
			if err := m.readTopics(raw); err != nil {
				return fmt.Errorf("topics.json %w", err)
			}
		}
	}
	for _, name := range []string{"seq_windows.json", "session_state.json", startsName, txnLogName} {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err == nil && (clean || name == startsName || name == txnLogName) {
			n.Files[name] = manifestFile{int64(len(raw)), crc32.Checksum(raw, castagnoli)}
		}
	}
	if err := m.listFolders(); err != nil {
		return err
	}
	if clean { // or they are about to become old
		n.Snapshots = make(map[string]uint32)
		for name := range m.folders {
			if s, err := readSnapshot(filepath.Join(dir, "partitions", name)); err == nil {
				n.Snapshots[name] = s.checksum()
			}
		}
	}
	for name, t := range m.topics {
		sizes := make(map[string]int64)
		for i := range t.Partitions {
			if size := m.folders[folderName(name, int32(i))]; size > 0 {
				sizes[strconv.Itoa(i)] = size
			}
		}
		n.Topics[name] = manifestTopic{t.ID, sizes}
	}
	return n.write(dir)
}

func (n *manifest) write(dir string) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("\n"+manifestSum, crc32.Checksum(raw, castagnoli))
	return replaceFile(filepath.Join(dir, manifestName), strings.NewReader(string(raw)+sum))
}
