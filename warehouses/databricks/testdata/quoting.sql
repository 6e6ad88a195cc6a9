CREATE TABLE IF NOT EXISTS `way``bill`.`kadoa_acme`.`WF_MOVIES__V1` USING DELTA LOCATION 's3://waybill\'s\\delta/acme/WF_MOVIES__V1'
