package delta

import (
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// A checkpoint is a Parquet file of one row for each action, in which one
// struct is set: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoint-schema
// The tables below name its columns, for the writer and the reader alike.

// leaf is a column of single values: string, int64, int32 or bool.
type leaf struct {
	path string
	like any // a value of its type
	// get returns the value, nil where it is NULL; false: the struct is not set.
	get func(a *action) (value any, set bool)
	set func(a *action, value any)
}

// pairs is a map of texts, or, with its keys alone, a list of them.
type pairs struct {
	path string
	list bool
	get  func(a *action) (keys []string, values map[string]*string, set bool)
	set  func(a *action, key string, value *string)
}

func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// of makes a leaf of a struct's field.
func of[S any, T comparable](path string, in func(*action) **S, field func(*S) *T, optional bool) leaf {
	var zero T
	return leaf{path: path, like: zero,
		get: func(a *action) (any, bool) {
			s := *in(a)
			if s == nil {
				return nil, false
			}
			if v := *field(s); !optional || v != zero {
				return v, true
			}
			return nil, true
		},
		set: func(a *action, value any) { *field(made(in(a))) = value.(T) },
	}
}

func inTxn(a *action) **Txn           { return &a.Txn }
func inAdd(a *action) **Add           { return &a.Add }
func inRemove(a *action) **Remove     { return &a.Remove }
func inMetadata(a *action) **Metadata { return &a.Metadata }
func inProtocol(a *action) **Protocol { return &a.Protocol }

const needed, optional = false, true

func checkpointLeaves() []leaf {
	return []leaf{
		of("txn.appId", inTxn, func(t *Txn) *string { return &t.AppID }, needed),
		of("txn.version", inTxn, func(t *Txn) *int64 { return &t.Version }, needed),
		of("txn.lastUpdated", inTxn, func(t *Txn) *int64 { return &t.LastUpdated }, optional),
		of("add.path", inAdd, func(a *Add) *string { return &a.Path }, needed),
		of("add.size", inAdd, func(a *Add) *int64 { return &a.Size }, needed),
		of("add.modificationTime", inAdd, func(a *Add) *int64 { return &a.ModificationTime }, needed),
		of("add.dataChange", inAdd, func(a *Add) *bool { return &a.DataChange }, needed),
		of("add.stats", inAdd, func(a *Add) *string { return &a.Stats }, optional),
		of("remove.path", inRemove, func(r *Remove) *string { return &r.Path }, needed),
		of("remove.deletionTimestamp", inRemove, func(r *Remove) *int64 { return &r.DeletionTimestamp }, optional),
		of("remove.dataChange", inRemove, func(r *Remove) *bool { return &r.DataChange }, needed),
		of("remove.extendedFileMetadata", inRemove, func(r *Remove) *bool { return &r.ExtendedFileMetadata }, needed),
		of("remove.size", inRemove, func(r *Remove) *int64 { return &r.Size }, optional),
		of("metaData.id", inMetadata, func(m *Metadata) *string { return &m.ID }, needed),
		of("metaData.name", inMetadata, func(m *Metadata) *string { return &m.Name }, optional),
		of("metaData.description", inMetadata, func(m *Metadata) *string { return &m.Description }, optional),
		of("metaData.format.provider", inMetadata, func(m *Metadata) *string { return &m.Format.Provider }, needed),
		of("metaData.schemaString", inMetadata, func(m *Metadata) *string { return &m.SchemaString }, needed),
		of("metaData.createdTime", inMetadata, func(m *Metadata) *int64 { return &m.CreatedTime }, optional),
		{path: "protocol.minReaderVersion", like: int32(0), set: func(a *action, v any) { made(&a.Protocol).MinReaderVersion = int(v.(int32)) },
			get: func(a *action) (any, bool) {
				if a.Protocol == nil {
					return nil, false
				}
				return int32(a.Protocol.MinReaderVersion), true
			}},
		{path: "protocol.minWriterVersion", like: int32(0), set: func(a *action, v any) { made(&a.Protocol).MinWriterVersion = int(v.(int32)) },
			get: func(a *action) (any, bool) {
				if a.Protocol == nil {
					return nil, false
				}
				return int32(a.Protocol.MinWriterVersion), true
			}},
	}
}

func checkpointPairs() []pairs {
	return []pairs{
		mapOf("add.partitionValues", inAdd, func(a *Add) *map[string]*string { return &a.PartitionValues }),
		textsOf("add.tags", inAdd, func(a *Add) *map[string]string { return &a.Tags }),
		mapOf("remove.partitionValues", inRemove, func(r *Remove) *map[string]*string { return &r.PartitionValues }),
		textsOf("metaData.format.options", inMetadata, func(m *Metadata) *map[string]string { return &m.Format.Options }),
		textsOf("metaData.configuration", inMetadata, func(m *Metadata) *map[string]string { return &m.Configuration }),
		listOf("metaData.partitionColumns", inMetadata, func(m *Metadata) *[]string { return &m.PartitionColumns }),
		listOf("protocol.readerFeatures", inProtocol, func(p *Protocol) *[]string { return &p.ReaderFeatures }),
		listOf("protocol.writerFeatures", inProtocol, func(p *Protocol) *[]string { return &p.WriterFeatures }),
	}
}

func mapOf[S any](path string, in func(*action) **S, field func(*S) *map[string]*string) pairs {
	return pairs{path: path,
		get: func(a *action) ([]string, map[string]*string, bool) {
			s := *in(a)
			if s == nil {
				return nil, nil, false
			}
			values := *field(s)
			return slices.Sorted(maps.Keys(values)), values, true
		},
		set: func(a *action, key string, value *string) {
			m := field(made(in(a)))
			if *m == nil {
				*m = map[string]*string{}
			}
			(*m)[key] = value
		},
	}
}

func textsOf[S any](path string, in func(*action) **S, field func(*S) *map[string]string) pairs {
	return pairs{path: path,
		get: func(a *action) ([]string, map[string]*string, bool) {
			s := *in(a)
			if s == nil {
				return nil, nil, false
			}
			values := map[string]*string{}
			for key, value := range *field(s) {
				values[key] = &value
			}
			return slices.Sorted(maps.Keys(values)), values, true
		},
		set: func(a *action, key string, value *string) {
			m := field(made(in(a)))
			if *m == nil {
				*m = map[string]string{}
			}
			if value != nil {
				(*m)[key] = *value
			}
		},
	}
}

func listOf[S any](path string, in func(*action) **S, field func(*S) *[]string) pairs {
	return pairs{path: path, list: true,
		get: func(a *action) ([]string, map[string]*string, bool) {
			s := *in(a)
			if s == nil {
				return nil, nil, false
			}
			return *field(s), nil, true
		},
		set: func(a *action, key string, _ *string) {
			l := field(made(in(a)))
			*l = append(*l, key)
		},
	}
}

// writtenPairs are those that a checkpoint of ours has. Features have no place at
// protocol (1,2); they are read so that they can be refused.
func writtenPairs() []pairs {
	return slices.DeleteFunc(checkpointPairs(), func(p pairs) bool { return strings.HasPrefix(p.path, "protocol.") })
}

const noID = -1

var (
	opt = parquet.Repetitions.Optional
	req = parquet.Repetitions.Required
	rep = parquet.Repetitions.Repeated
)

// checkpointSchema makes the Parquet schema of the columns above.
func checkpointSchema() (*schema.GroupNode, error) {
	root := &tree{}
	for _, l := range checkpointLeaves() {
		node, err := l.node()
		if err != nil {
			return nil, err
		}
		root.put(strings.Split(l.path, "."), node)
	}
	for _, p := range writtenPairs() {
		node, err := p.node()
		if err != nil {
			return nil, err
		}
		root.put(strings.Split(p.path, "."), node)
	}
	return root.group("schema", req)
}

func last(path string) string { return path[strings.LastIndex(path, ".")+1:] }

func textNode(name string, r parquet.Repetition) (schema.Node, error) {
	return schema.NewPrimitiveNodeLogical(name, r, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, noID)
}

func (l leaf) node() (schema.Node, error) {
	switch l.like.(type) {
	case int64:
		return schema.NewPrimitiveNode(last(l.path), opt, parquet.Types.Int64, noID, -1)
	case int32:
		return schema.NewPrimitiveNode(last(l.path), opt, parquet.Types.Int32, noID, -1)
	case bool:
		return schema.NewPrimitiveNode(last(l.path), opt, parquet.Types.Boolean, noID, -1)
	}
	return textNode(last(l.path), opt)
}

// node is a map or a list as Parquet nests them:
// https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types
func (p pairs) node() (schema.Node, error) {
	if p.list {
		element, err := textNode("element", opt)
		if err != nil {
			return nil, err
		}
		list, err := schema.NewGroupNode("list", rep, schema.FieldList{element}, noID)
		if err != nil {
			return nil, err
		}
		return schema.NewGroupNodeLogical(last(p.path), opt, schema.FieldList{list}, schema.NewListLogicalType(), noID)
	}
	key, err := textNode("key", req)
	if err != nil {
		return nil, err
	}
	value, err := textNode("value", opt)
	if err != nil {
		return nil, err
	}
	entries, err := schema.NewGroupNode("key_value", rep, schema.FieldList{key, value}, noID)
	if err != nil {
		return nil, err
	}
	return schema.NewGroupNodeLogical(last(p.path), opt, schema.FieldList{entries}, schema.MapLogicalType{}, noID)
}

// tree collects nodes below structs, in the order in which they come.
type tree struct {
	names []string
	subs  map[string]*tree
	nodes map[string]schema.Node
}

func (t *tree) put(path []string, node schema.Node) {
	name := path[0]
	if !slices.Contains(t.names, name) {
		t.names = append(t.names, name)
	}
	if len(path) == 1 {
		if t.nodes == nil {
			t.nodes = map[string]schema.Node{}
		}
		t.nodes[name] = node
		return
	}
	if t.subs == nil {
		t.subs = map[string]*tree{}
	}
	if t.subs[name] == nil {
		t.subs[name] = &tree{}
	}
	t.subs[name].put(path[1:], node)
}

func (t *tree) group(name string, r parquet.Repetition) (*schema.GroupNode, error) {
	var fields schema.FieldList
	for _, n := range t.names {
		if node, ok := t.nodes[n]; ok {
			fields = append(fields, node)
			continue
		}
		group, err := t.subs[n].group(n, opt)
		if err != nil {
			return nil, err
		}
		fields = append(fields, group)
	}
	return schema.NewGroupNode(name, r, fields, noID)
}
