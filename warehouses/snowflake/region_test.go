package snowflake

import (
	"strings"
	"testing"
)

func TestARegionIsUnderstoodAsPeopleWriteIt(t *testing.T) {
	for _, tc := range []struct{ text, cloud, want string }{
		{"US East 1", "", "AWS_US_EAST_1"},
		{"us-east-1", "", "AWS_US_EAST_1"},
		{"AWS_US_EAST_1", "", "AWS_US_EAST_1"},
		{"PUBLIC.AWS_US_EAST_1", "", "AWS_US_EAST_1"},
		{"aws us east 1", "AWS", "AWS_US_EAST_1"},
		{"us_east_1", "", "AWS_US_EAST_1"},
		{"US East (Ohio)", "", "AWS_US_EAST_2"},
		{"us-east-2", "", "AWS_US_EAST_2"},
		{"US East 2", "AWS", "AWS_US_EAST_2"},
		{"US East 2", "azure", "AZURE_EASTUS2"},
		{"East US 2", "Microsoft Azure", "AZURE_EASTUS2"},
		{"eastus2", "", "AZURE_EASTUS2"},
		{"us-east4", "", "GCP_US_EAST4"},
		{"Google us-central1", "", "GCP_US_CENTRAL1"},
		{"Frankfurt", "AWS", "AWS_EU_CENTRAL_1"},
		{"europe-west3", "", "GCP_EUROPE_WEST3"},
		{"West Europe", "", "AZURE_WESTEUROPE"},
		{"Ireland", "AWS", "AWS_EU_WEST_1"},
	} {
		got, err := ParseRegion(tc.text, tc.cloud)
		if err != nil || string(got) != tc.want {
			t.Errorf("%q of cloud %q is %s, %v; want %s", tc.text, tc.cloud, got, err, tc.want)
		}
	}
}

func TestARegionThatIsNotOneIsRefusedWithTheChoices(t *testing.T) {
	for _, tc := range []struct{ text, cloud, want string }{
		{"US East 2", "", "AWS_US_EAST_2 or AZURE_EASTUS2"},
		{"Frankfurt", "", "AWS_EU_CENTRAL_1 or GCP_EUROPE_WEST3"},
		{"US East", "AWS", "AWS_US_EAST_1 or AWS_US_EAST_2 or AWS_US_EAST_1_GOV or AWS_US_GOV_EAST_1"},
		{"", "AWS", "is missing"},
		{"aws", "", "is missing"},
		{"Atlantis", "", "CURRENT_REGION"},
		{"us-east-1", "Azure", "CURRENT_REGION"},
		{"AWS us-east-1", "GCP", "is not in the cloud GCP"},
		{"us-east-1", "Oracle", "is not a cloud"},
	} {
		got, err := ParseRegion(tc.text, tc.cloud)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q of cloud %q is %q, %v; want %q", tc.text, tc.cloud, got, err, tc.want)
		}
	}
}

func TestEveryRegionIsItsOwnName(t *testing.T) {
	for _, r := range regions {
		for _, text := range []string{string(r.id), r.name} {
			if got, err := ParseRegion(text, ""); err != nil || got != r.id {
				t.Errorf("%s is %s, %v; want %s", text, got, err, r.id)
			}
		}
		// In words, the two government regions in the east are one.
		if got, err := ParseRegion(r.words, r.cloud); got != r.id && (err == nil || !strings.Contains(err.Error(), string(r.id))) {
			t.Errorf("%s of %s is %s, %v; want %s", r.words, r.cloud, got, err, r.id)
		}
		if !strings.HasPrefix(string(r.id), r.cloud+"_") {
			t.Errorf("%s is not in %s", r.id, r.cloud)
		}
	}
}

func TestAnAccountIsUnderstoodInEachOfItsForms(t *testing.T) {
	for _, tc := range []struct{ organization, account, want string }{
		{"ACMEORG", "PROD_ANALYTICS", "ACMEORG.PROD_ANALYTICS"},
		{"acmeorg", " prod-analytics ", "ACMEORG.PROD_ANALYTICS"},
		{"", "ACMEORG-PROD_ANALYTICS", "ACMEORG.PROD_ANALYTICS"},
		{"", "acmeorg.prod_analytics", "ACMEORG.PROD_ANALYTICS"},
		{"ACMEORG", "ACMEORG.PROD_ANALYTICS", "ACMEORG.PROD_ANALYTICS"},
		{"", "ALC62998", "ALC62998"},
	} {
		got, err := ParseTarget(tc.organization, tc.account, "us-east-1", "")
		if err != nil || got.name() != tc.want {
			t.Errorf("%q, %q is %s, %v; want %s", tc.organization, tc.account, got.name(), err, tc.want)
		}
	}
	_, err := ParseTarget(`A"; DROP SHARE x`, "", "nowhere", "")
	for _, field := range []string{"organization:", "account:", "region:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("a bad account is refused with %v; want all of its problems, %s too", err, field)
		}
	}
}
