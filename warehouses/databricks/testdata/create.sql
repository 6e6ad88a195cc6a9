CREATE TABLE IF NOT EXISTS `waybill`.`kadoa_acme`.`WF_MOVIES__V1` USING DELTA LOCATION 's3://waybill-delta/acme/WF_MOVIES__V1'
