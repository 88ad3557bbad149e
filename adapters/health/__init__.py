"""Health (卫生健康): HL7 FHIR R4 over REST, and SOAP with CDA documents in the shape of WS/T 790 and WS/T 500."""
