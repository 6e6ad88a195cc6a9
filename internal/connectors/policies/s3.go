package policies

import (
	"cmp"
	"strings"

	"github.com/waybillhq/waybill/internal/connectors"
)

// document is an IAM policy, in the order that people write it:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]string `json:",omitempty"` //nolint:tagliatelle // IAM's name
	Action    any               // one, or several
	Resource  string            `json:",omitempty"` //nolint:tagliatelle // IAM's name
	Condition map[string]any    `json:",omitempty"` //nolint:tagliatelle // IAM's name
}

func policy(list ...statement) string {
	for i := range list {
		list[i].Effect = "Allow"
	}
	return text(document{Version: "2012-10-17", Statement: list})
}

func (p place) s3() []Statement {
	us := map[string]string{"AWS": cmp.Or(p.who.AWS, "arn:"+p.partition()+":iam::YOUR_PROVIDERS_ACCOUNT:role/YOUR_PROVIDERS_ROLE")}
	objects := p.objects()
	switch p.Storage.Access.Kind() {
	case connectors.AccessRole:
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
		trust := statement{Sid: "WaybillAssumes", Principal: us, Action: "sts:AssumeRole",
			Condition: map[string]any{"StringEquals": map[string]string{"sts:ExternalId": cmp.Or(p.ExternalID, "YOUR_CONNECTORS_EXTERNAL_ID")}}}
		return []Statement{
			{"Trust policy of the role " + p.Storage.Access.RoleARN + ":", policy(trust)},
			{"Permissions of the role:", policy(append(objects, p.key(p.keyARN())...)...)},
		}
	case connectors.AccessKeys:
		return []Statement{{"Permissions of the user whose keys the connector holds:", policy(append(objects, p.key(p.keyARN())...)...)}}
	}
	for i := range objects {
		objects[i].Principal = us
	}
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
	list := []Statement{{"Bucket policy of " + p.bucket + "; the bucket's owner must own what others write, which is the default (Object Ownership: Bucket owner enforced):", policy(objects...)}}
	for _, key := range p.key("*") { // in a key's policy, * is the key
		key.Principal = us
		list = append(list, Statement{"Statement for the policy of the key " + p.Storage.KMSKeyID + ":", policy(key)})
	}
	return list
}

// literal keeps what a key holds from being taken for a pattern or a variable:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
var literal = strings.NewReplacer("$", "${$}", "*", "${*}", "?", "${?}")

// objects are the statements on the bucket.
func (p place) objects() []statement {
	bucket := "arn:" + p.partition() + ":s3:::" + p.bucket
	all, one := bucket+"/"+literal.Replace(p.prefix)+"*", bucket+"/"+literal.Replace(p.probe)
	write := statement{Sid: "WaybillDelivers", Action: []string{"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}, Resource: all}
	// Not narrowed to the prefix: who asks after an object that is not there
	// names no prefix, and is told "forbidden" unless it may list.
	list := statement{Sid: "WaybillSeesWhatIsNotThere", Action: "s3:ListBucket", Resource: bucket}
	probe := statement{Sid: "WaybillDeletesItsProbe", Action: "s3:DeleteObject", Resource: one}
	if p.Storage.MaxFileBytes > 0 { // a run that is replaced may have fewer files
		probe = statement{Sid: "WaybillDeletesFilesOfReplacedRuns", Action: "s3:DeleteObject", Resource: all}
	}
	return []statement{write, list, probe}
}

// key is the statement on the KMS key, if there is one. A multipart upload
// needs Decrypt too: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuAndPermissions.html
func (p place) key(resource string) []statement {
	if p.Storage.KMSKeyID == "" {
		return nil
	}
	s := statement{Sid: "WaybillEncrypts", Action: []string{"kms:GenerateDataKey", "kms:Decrypt"}, Resource: resource}
	if p.Storage.Region != "" && p.Storage.Endpoint == "" {
		// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
		s.Condition = map[string]any{"StringEquals": map[string]string{"kms:ViaService": "s3." + p.Storage.Region + ".amazonaws.com" + map[bool]string{true: ".cn"}[p.partition() == "aws-cn"]}}
	}
	return []statement{s}
}

// keyARN names the key in a policy, where an alias means nothing.
func (p place) keyARN() string {
	id := p.Storage.KMSKeyID
	if strings.HasPrefix(id, "arn:") && !strings.Contains(id, ":alias/") {
		return id
	}
	account := "YOUR_ACCOUNT"
	if part := strings.Split(p.Storage.Access.RoleARN, ":"); len(part) > 4 { // arn:aws:iam::account:role/name
		account = part[4]
	}
	if strings.Contains(id, "alias/") {
		id = "YOUR_KEY_ID_OF_" + id[strings.Index(id, "alias/")+len("alias/"):]
	}
	return "arn:" + p.partition() + ":kms:" + cmp.Or(p.Storage.Region, "YOUR_REGION") + ":" + account + ":key/" + id
}

// partition: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func (p place) partition() string {
	switch region := p.Storage.Region; {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
