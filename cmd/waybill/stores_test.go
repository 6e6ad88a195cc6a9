package main_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gcs "cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"google.golang.org/api/option"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/handlers"
	"github.com/waybillhq/waybill/internal/testservers"
)

// vendor reads an object with the vendor's own client, none of our code between.
type vendor func(ctx context.Context, key string) (content []byte, metadata map[string]string, err error)

// The bundled runs arrive in every kind of store: content by the manifest,
// metadata as the vendor's own client sees it.
func TestTheBundledRunsArriveInEveryStore(t *testing.T) {
	google, azure := testservers.GCS(t), testservers.Azure(t)
	google.Bucket(t, bucketName)
	azure.Container(t, bucketName)
	tokens := tokenServer(t)
	f := newFleet(t, "http://"+google.Addr, "http://"+azure.Addr, tokens.URL)
	f.env = append(f.env, "AZURE_KEY="+azure.Key, "GOOGLE_KEY="+testservers.ServiceAccount(t, tokens.URL))
	connectors := map[string]string{
		"on-s3":    f.connector("on-s3", bucketName, "env:CUSTOMER_SECRET"),
		"on-gcs":   elsewhere("on-gcs", "gs", google.Endpoint, "serviceAccount: env:GOOGLE_KEY"),
		"on-azure": elsewhere("on-azure", "azblob", azure.Endpoint, "account: "+azure.Account+", accountKey: env:AZURE_KEY"),
	}
	for id, text := range connectors {
		f.ok(t, "connector", "apply", "-f", f.write(t, id+".yaml", text))
		f.ok(t, "connector", "check", id)
	}
	f.start(t, "scheduler")
	f.start(t, "worker")
	const runs = "../sandbox/testdata/runs/"
	f.ok(t, "run", "submit", "-f", runs+"movies.run.json", "-f", runs+"earthquakes-1.run.json", "-f", runs+"earthquakes-2.run.json", "-f", runs+"contributions.run.json")
	complete := f.await(t, waybill.StateComplete, 4*len(connectors), time.Minute)

	stores := map[string]vendor{"on-s3": s3Vendor(f), "on-gcs": gcsVendor(t, google), "on-azure": azureVendor(t, azure)}
	for _, d := range complete {
		folder := fmt.Sprintf("exports/kadoa/%s/%s/%s-%s/", d.TeamID, d.WorkflowID, d.RunFinishedAt.Format("2006-01-02T15-04-05Z"), d.JobID)
		wantRun(t, stores[d.Connector], d, folder, d.Connector == "on-azure")
	}
}

// elsewhere is a connector to a store that is not S3.
func elsewhere(id, scheme, endpoint, access string) string {
	return fmt.Sprintf("id: %s\nteam: %s\nkind: storage\nstorage:\n  url: %s://%s/exports\n  endpoint: %s\n  formats: [parquet, jsonl, csv]\n  access: {%s}\n",
		id, team, scheme, bucketName, endpoint, access)
}

func wantRun(t *testing.T, read vendor, d waybill.Delivery, folder string, underscores bool) {
	t.Helper()
	text, _, err := read(t.Context(), folder+handlers.ManifestName)
	if err != nil {
		t.Fatalf("%s: %v", d.Connector, err)
	}
	var m handlers.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.State != "complete" || m.Rows != d.Rows || m.SchemaVersion != d.SchemaVersion || len(m.Files) != 3 {
		t.Errorf("%s: manifest %+v of %+v", d.Connector, m, d)
	}
	for _, file := range m.Files {
		content, metadata, err := read(t.Context(), folder+file.Name)
		if err != nil {
			t.Fatalf("%s: %v", d.Connector, err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != file.SHA256 {
			t.Errorf("%s: %s is not what its manifest says", d.Connector, file.Name)
		}
		want := map[string]string{"x-kadoa-workflow-id": d.WorkflowID, "x-kadoa-job-id": d.JobID, "x-kadoa-format": file.Format}
		if underscores {
			want = map[string]string{"x_kadoa_workflow_id": d.WorkflowID, "x_kadoa_job_id": d.JobID, "x_kadoa_format": file.Format}
		}
		if !maps.Equal(metadata, want) {
			t.Errorf("%s: %s has metadata %v, want %v", d.Connector, file.Name, metadata, want)
		}
	}
}

func s3Vendor(f *fleet) vendor {
	client := s3.New(s3.Options{Region: f.s3.Region, BaseEndpoint: &f.s3.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(f.s3.AccessKey, f.s3.SecretKey, "")})
	return func(ctx context.Context, key string) ([]byte, map[string]string, error) {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
		if err != nil {
			return nil, nil, err
		}
		defer out.Body.Close()
		content, err := io.ReadAll(out.Body)
		return content, out.Metadata, err
	}
}

func gcsVendor(t *testing.T, server *testservers.GCSServer) vendor {
	t.Helper()
	client, err := gcs.NewClient(t.Context(), option.WithEndpoint(server.Endpoint), option.WithoutAuthentication(), gcs.WithJSONReads())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return func(ctx context.Context, key string) ([]byte, map[string]string, error) {
		object := client.Bucket(bucketName).Object(key)
		attrs, err := object.Attrs(ctx)
		if err != nil {
			return nil, nil, err
		}
		r, err := object.NewReader(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer r.Close()
		content, err := io.ReadAll(r)
		return content, attrs.Metadata, err
	}
}

func azureVendor(t *testing.T, server *testservers.AzureServer) vendor {
	t.Helper()
	key, err := azblob.NewSharedKeyCredential(server.Account, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential(server.Endpoint, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, key string) ([]byte, map[string]string, error) {
		out, err := client.DownloadStream(ctx, bucketName, key, nil)
		if err != nil {
			return nil, nil, err
		}
		defer out.Body.Close()
		metadata := map[string]string{}
		for name, value := range out.Metadata { // HTTP's own spelling of names
			metadata[strings.ToLower(name)] = *value
		}
		content, err := io.ReadAll(out.Body)
		return content, metadata, err
	}
}

// tokenServer answers a service account's signed request for a token, as
// https://developers.google.com/identity/protocols/oauth2/service-account says.
func tokenServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.PostFormValue("assertion") == "" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"token","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(server.Close)
	return server
}
