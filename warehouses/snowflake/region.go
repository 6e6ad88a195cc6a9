package snowflake

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/waybillhq/waybill"
)

// Region is a region of Snowflake, as CURRENT_REGION names it: AWS_US_EAST_1.
type Region string

// region is one row of the vendor's table.
// https://docs.snowflake.com/en/user-guide/intro-regions
type region struct {
	id    Region
	cloud string // AWS, GCP or AZURE
	name  string // the cloud's own id
	words string // how people call it
}

var regions = []region{
	{"AWS_US_WEST_2", "AWS", "us-west-2", "US West 2 (Oregon)"},
	{"AWS_US_EAST_1", "AWS", "us-east-1", "US East 1 (N. Virginia)"},
	{"AWS_US_EAST_2", "AWS", "us-east-2", "US East 2 (Ohio)"},
	{"AWS_US_EAST_1_GOV", "AWS", "us-east-1-gov", "US East 1 Commercial Gov (N. Virginia)"},
	{"AWS_US_GOV_EAST_1", "AWS", "us-gov-east-1", "US Gov East 1"},
	{"AWS_US_GOV_WEST_1", "AWS", "us-gov-west-1", "US Gov West 1"},
	{"AWS_CA_CENTRAL_1", "AWS", "ca-central-1", "Canada Central 1 (Montreal)"},
	{"AWS_SA_EAST_1", "AWS", "sa-east-1", "South America East 1 (Sao Paulo)"},
	{"AWS_EU_WEST_1", "AWS", "eu-west-1", "EU West 1 (Ireland, Dublin)"},
	{"AWS_EU_WEST_2", "AWS", "eu-west-2", "EU West 2 (Europe, London)"},
	{"AWS_EU_WEST_3", "AWS", "eu-west-3", "EU West 3 (Paris)"},
	{"AWS_EU_CENTRAL_1", "AWS", "eu-central-1", "EU Central 1 (Frankfurt)"},
	{"AWS_EU_CENTRAL_2", "AWS", "eu-central-2", "EU Central 2 (Zurich)"},
	{"AWS_EU_NORTH_1", "AWS", "eu-north-1", "EU North 1 (Stockholm)"},
	{"AWS_AP_NORTHEAST_1", "AWS", "ap-northeast-1", "Asia Pacific Northeast 1 (Tokyo)"},
	{"AWS_AP_NORTHEAST_2", "AWS", "ap-northeast-2", "Asia Pacific Northeast 2 (Seoul)"},
	{"AWS_AP_NORTHEAST_3", "AWS", "ap-northeast-3", "Asia Pacific Northeast 3 (Osaka)"},
	{"AWS_AP_SOUTH_1", "AWS", "ap-south-1", "Asia Pacific South 1 (Mumbai)"},
	{"AWS_AP_SOUTHEAST_1", "AWS", "ap-southeast-1", "Asia Pacific Southeast 1 (Singapore)"},
	{"AWS_AP_SOUTHEAST_2", "AWS", "ap-southeast-2", "Asia Pacific Southeast 2 (Sydney)"},
	{"AWS_AP_SOUTHEAST_3", "AWS", "ap-southeast-3", "Asia Pacific Southeast 3 (Jakarta)"},
	{"AWS_AF_SOUTH_1", "AWS", "af-south-1", "Africa South 1 (Cape Town)"},
	{"GCP_US_CENTRAL1", "GCP", "us-central1", "US Central 1 (Iowa)"},
	{"GCP_US_EAST4", "GCP", "us-east4", "US East 4 (N. Virginia)"},
	{"GCP_EUROPE_WEST2", "GCP", "europe-west2", "Europe West 2 (London)"},
	{"GCP_EUROPE_WEST3", "GCP", "europe-west3", "Europe West 3 (Frankfurt)"},
	{"GCP_EUROPE_WEST4", "GCP", "europe-west4", "Europe West 4 (Netherlands)"},
	{"GCP_ME_CENTRAL2", "GCP", "me-central2", "Middle East Central 2 (Dammam)"},
	{"GCP_AUSTRALIA_SOUTHEAST2", "GCP", "australia-southeast2", "Australia Southeast 2 (Melbourne)"},
	{"AZURE_WESTUS2", "AZURE", "westus2", "West US 2 (Washington)"},
	{"AZURE_CENTRALUS", "AZURE", "centralus", "Central US (Iowa)"},
	{"AZURE_SOUTHCENTRALUS", "AZURE", "southcentralus", "South Central US (Texas)"},
	{"AZURE_EASTUS2", "AZURE", "eastus2", "East US 2 (Virginia)"},
	{"AZURE_USGOVVIRGINIA", "AZURE", "usgovvirginia", "US Gov Virginia"},
	{"AZURE_CANADACENTRAL", "AZURE", "canadacentral", "Canada Central (Toronto)"},
	{"AZURE_MEXICOCENTRAL", "AZURE", "mexicocentral", "Mexico Central"},
	{"AZURE_UKSOUTH", "AZURE", "uksouth", "UK South (London)"},
	{"AZURE_NORTHEUROPE", "AZURE", "northeurope", "North Europe (Ireland)"},
	{"AZURE_WESTEUROPE", "AZURE", "westeurope", "West Europe (Netherlands)"},
	{"AZURE_SWEDENCENTRAL", "AZURE", "swedencentral", "Sweden Central"},
	{"AZURE_SWITZERLANDNORTH", "AZURE", "switzerlandnorth", "Switzerland North (Zurich)"},
	{"AZURE_UAENORTH", "AZURE", "uaenorth", "UAE North (Dubai)"},
	{"AZURE_CENTRALINDIA", "AZURE", "centralindia", "Central India (Pune)"},
	{"AZURE_JAPANEAST", "AZURE", "japaneast", "Japan East (Tokyo)"},
	{"AZURE_KOREACENTRAL", "AZURE", "koreacentral", "Korea Central (Seoul)"},
	{"AZURE_SOUTHEASTASIA", "AZURE", "southeastasia", "Southeast Asia (Singapore)"},
	{"AZURE_AUSTRALIAEAST", "AZURE", "australiaeast", "Australia East (New South Wales)"},
}

var clouds = map[string]string{"aws": "AWS", "amazon": "AWS", "gcp": "GCP", "google": "GCP", "azure": "AZURE", "microsoft": "AZURE"}

// ParseRegion understands a region as people write it: us-east-1,
// AWS_US_EAST_1, "US East 1", "AWS US East (Ohio)". The cloud is optional where
// the region says it. What could be several regions is refused, naming them.
func ParseRegion(text, cloud string) (Region, error) {
	said := ""
	if strings.TrimSpace(cloud) != "" {
		if said = clouds[strings.ToLower(firstWord(cloud))]; said == "" {
			return "", fmt.Errorf("%s is not a cloud; use AWS, GCP or Azure", waybill.Quote(cloud))
		}
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "PUBLIC.")
	wanted := words(text)
	if len(wanted) > 0 && clouds[wanted[0]] != "" {
		in := clouds[wanted[0]]
		if said != "" && said != in {
			return "", fmt.Errorf("%s is not in the cloud %s", waybill.Quote(text), said)
		}
		said, wanted = in, wanted[1:]
	}
	if len(wanted) == 0 {
		return "", fmt.Errorf("is missing; give the customer's region, e.g. us-east-1, and the cloud")
	}
	return oneOf(text, candidates(text, wanted, said))
}

// candidates are the regions that a text can mean: one by its very id, else
// those with just its words in any order, else those that have all its words.
func candidates(text string, wanted []string, cloud string) []region {
	exact := func(r region) bool {
		return strings.EqualFold(text, string(r.id)) || strings.EqualFold(text, r.name) || strings.EqualFold(strings.ReplaceAll(text, "_", "-"), r.name)
	}
	same := func(r region) bool {
		plain, _, _ := strings.Cut(r.words, "(")
		return sameWords(wanted, words(r.name)) || sameWords(wanted, words(plain)) || sameWords(wanted, words(r.words))
	}
	within := func(r region) bool {
		all := append(words(r.words), words(r.name)...)
		return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(all, w) })
	}
	for _, means := range []func(region) bool{exact, same, within} {
		var found []region
		for _, r := range regions {
			if (cloud == "" || r.cloud == cloud) && means(r) {
				found = append(found, r)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func oneOf(text string, found []region) (Region, error) {
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s is not a region of Snowflake that Waybill knows; give what SELECT CURRENT_REGION() answers in the customer's account", waybill.Quote(text))
	case 1:
		return found[0].id, nil
	}
	choices := make([]string, len(found))
	for i, r := range found {
		choices[i] = string(r.id)
	}
	return "", fmt.Errorf("%s can mean %s; give one of them", waybill.Quote(text), strings.Join(choices, " or "))
}

// words splits a text at everything but letters and digits, and between a
// letter and a digit, in lower case.
func words(text string) (parts []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			parts = append(parts, strings.ToLower(string(word)))
		}
		word = nil
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			continue
		}
		if len(word) > 0 && unicode.IsDigit(r) != unicode.IsDigit(word[len(word)-1]) {
			end()
		}
		word = append(word, r)
	}
	end()
	return parts
}

func firstWord(text string) string { return append(words(text), "")[0] }

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
