/**
 * Jobs and lists as services of several kinds write them: each with other prefixes, other optional
 * parts, other ways to say that there is nothing.
 */

/** Java services of the vollt family: no prefix, an XSLT, times with milliseconds, a percent sign. */
export const UNPREFIXED = `<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="uws.xsl"?>
<job xmlns="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
     xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1">
\t<jobId>1763984530123A</jobId>
\t<ownerId xsi:nil="true" />
\t<phase>COMPLETED</phase>
\t<quote>-1</quote>
\t<creationTime>2025-11-24T11:42:10.123Z</creationTime>
\t<startTime>2025-11-24T11:42:10.200Z</startTime>
\t<endTime>2025-11-24T11:42:11.5Z</endTime>
\t<executionDuration>0</executionDuration>
\t<destruction xsi:nil="true" />
\t<parameters>
\t\t<parameter id="QUERY"><![CDATA[SELECT TOP 5 * FROM t WHERE a < 5 AND b LIKE '100%']]></parameter>
\t\t<parameter id="lang">ADQL</parameter>
\t</parameters>
\t<results>
\t\t<result id="result" xlink:type="simple" mime-type="application/x-votable+xml" size="3245"
\t\t\txlink:href="http://tap.example.org/async/1763984530123A/results/result?a=1&amp;b=2" />
\t</results>
</job>`;

/** Python services of the DaCHS kind: a prefix of their own, no version, times without a zone. */
export const OTHER_PREFIX = `<u:job xmlns:u="http://www.ivoa.net/xml/UWS/v1.0"
  xmlns:l="http://www.w3.org/1999/xlink" xmlns:n="http://www.w3.org/2001/XMLSchema-instance"
  n:schemaLocation="http://www.ivoa.net/xml/UWS/v1.0 UWS-1.0.xsd"><u:jobId>zq8x1_p0</u:jobId
><u:ownerId n:nil="true"></u:ownerId><u:phase>ERROR</u:phase><u:quote n:nil="1"/>
<u:startTime>2025-11-24T11:42:10</u:startTime><u:endTime>2025-11-24T11:42:11</u:endTime>
<u:executionDuration>7200</u:executionDuration><u:destruction>2025-11-27T11:42:09</u:destruction>
<u:parameters><u:parameter byReference="true" id="upload">http://x.example/f</u:parameter>
<u:parameter id="request">doQuery</u:parameter><u:parameter id="band">J</u:parameter
><u:parameter id="band">K</u:parameter></u:parameters><u:results/>
<u:errorSummary type="fatal" hasDetail="true"><u:message>Syntax error at &quot;FORM&quot;
 &#8212; expected FROM</u:message></u:errorSummary></u:job>`;

/** Java services of the CADC kind: everything prefixed, relative results, an empty jobInfo. */
export const RELATIVE = `<?xml version="1.0" encoding="UTF-8"?>
<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1">
  <uws:jobId>ab12</uws:jobId>
  <uws:runId></uws:runId>
  <uws:ownerId>ann</uws:ownerId>
  <uws:phase>EXECUTING</uws:phase>
  <uws:quote>2025-11-24T12:00:00.000Z</uws:quote>
  <uws:creationTime>2025-11-24T12:42:10.123+01:00</uws:creationTime>
  <uws:executionDuration>600</uws:executionDuration>
  <uws:destruction>2025-12-01T00:00:00.000Z</uws:destruction>
  <uws:parameters />
  <uws:results>
    <uws:result id="log" xlink:href="ab12/results/log" />
  </uws:results>
  <uws:jobInfo><other:thing xmlns:other="urn:other">anything</other:thing></uws:jobInfo>
</uws:job>`;

/** The least that the schema of UWS 1.0 lets a job be. */
export const LEAST = `<job xmlns="http://www.ivoa.net/xml/UWS/v1.0"><jobId>1</jobId>
<phase>PENDING</phase><quote xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:nil="true"/>
</job>`;

/** A list of UWS 1.0: a phase for each job, and nothing else. */
export const OLD_LIST = `<uws:jobs xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0"
 xmlns:xl="http://www.w3.org/1999/xlink"><uws:jobref id="1" xl:href="../async/1"><uws:phase>
 PENDING </uws:phase></uws:jobref><uws:jobref id="b &amp; c"><uws:phase>HELD</uws:phase></uws:jobref>
 </uws:jobs>`;

/** A list of UWS 1.1 with a namespace that nobody knows beside. */
export const NEW_LIST = `<jobs version="1.1" xmlns="http://www.ivoa.net/xml/UWS/v1.0"
 xmlns:x="http://www.w3.org/1999/xlink" xmlns:o="urn:other"><jobref id="7" x:type="simple"
 x:href="http://h/async/7"><phase>ABORTED</phase><runId>r&#x20;1</runId><ownerId>bob</ownerId>
 <creationTime>2025-11-24T12:42:10Z</creationTime><o:phase>COMPLETED</o:phase></jobref></jobs>`;

/** Documents that are none, and a word of what is said about each. */
export const BROKEN = Object.freeze({
  "": "no element",
  "just text": "text outside",
  "<a><b></a></b>": "closing tag",
  "<a>": "without end",
  "<a/><b/>": "second root",
  "<a>&nbsp;</a>": "no meaning",
  "<a>& b</a>": "no meaning",
  "<a>&#0;</a>": "no meaning",
  "<a>&#xD800;</a>": "no meaning",
  "<a>&#1114112;</a>": "no meaning",
  "<a b='1' b='2'/>": "twice",
  "<a b=1/>": "not well-formed",
  "<a b='<'/>": "not well-formed",
  "<x:a/>": "stands for nothing",
  "<a x:b='1'/>": "stands for nothing",
  "<a>\u0001</a>": "a character",
  "<a><!-- </a>": "comment without end",
  "<a><![CDATA[ </a>": "CDATA without end",
  "<a></a": "closing tag",
  "<a>< b/></a>": "begins nothing",
  "<!DOCTYPE a [ <a/>": "declaration",
  "<a/>text": "text outside",
});
