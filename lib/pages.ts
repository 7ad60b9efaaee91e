// Pages: the merchant's page and, under the same name, the API it reads, so that a browser asks nobody else.
// before: lib/serve.ts; next: the merchant
import { join } from 'node:path';
import { DefaultStackSynthesizer, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { AllowedMethods, CachePolicy, Distribution, Function, FunctionCode, FunctionEventType, FunctionRuntime, HeadersFrameOption, HeadersReferrerPolicy, HttpVersion, OriginRequestPolicy, PriceClass, ResponseHeadersPolicy, SecurityPolicyProtocol, ViewerProtocolPolicy, type BehaviorOptions } from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin, S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { BucketDeployment, CacheControl, Source, type ISource } from 'aws-cdk-lib/aws-s3-deployment';
import { Construct } from 'constructs';
import { COLLECT_ELSEWHERE, CONFIG, CONTENT_SECURITY_POLICY, PAGE_PATHS, SNIPPET, cacheControlOf, type PagesConfig } from '../core/pages.ts';
import { allow, asInterface, logGroupOf, roleOf } from './functions.ts';
import type { Resolved } from './settings.ts';

const PRICE_CLASSES = { NorthAmericaAndEurope: PriceClass.PRICE_CLASS_100, Everywhere: PriceClass.PRICE_CLASS_ALL } as const satisfies Record<Resolved['pagesFrom'], PriceClass>;

/** Where `bin/pages.ts` puts the pages, and the snippet for doors that are elsewhere. */
const DIST = join(import.meta.dirname, '..', 'dist');
export const PAGES_FOLDER = join(DIST, 'pages');
export const SNIPPET_ELSEWHERE = join(DIST, 'snippet-elsewhere.js');

/** What `bin/pages.ts` has built: the pages' folder, and the snippet's text for doors that are elsewhere. */
export interface BuiltPages { folder: string; snippet: string }

export interface PagesProps {
  api: HttpApi;
  /** The address of the browser doors, with a slash at its end: not that of the pages. */
  collect: string;
  built: BuiltPages;
  settings: Resolved;
}

export class Pages extends Construct {
  /** The files of the page. Whatever is in it has been uploaded and can be uploaded again. */
  readonly bucket: Bucket;
  readonly distribution: Distribution;

  constructor(scope: Construct, id: string, { api, collect, built, settings: { pagesFrom, domains, logDays } }: PagesProps) {
    super(scope, id);
    this.bucket = new Bucket(this, 'Bucket', {
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const { region, urlSuffix } = Stack.of(this);
    const kept = { viewerProtocolPolicy: ViewerProtocolPolicy.REDIRECT_TO_HTTPS, responseHeadersPolicy: this.headers() };
    const fromApi: BehaviorOptions = {
      ...kept,
      origin: new HttpOrigin(`${api.apiId}.execute-api.${region}.${urlSuffix}`),
      allowedMethods: AllowedMethods.ALLOW_ALL,
      cachePolicy: CachePolicy.CACHING_DISABLED,
      // API Gateway finds the API by the host.
      originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
    };
    this.distribution = new Distribution(this, 'Distribution', {
      defaultBehavior: {
        ...kept,
        origin: S3BucketOrigin.withOriginAccessControl(asInterface<IBucket>(this.bucket)),
        compress: true,
        functionAssociations: [{ eventType: FunctionEventType.VIEWER_REQUEST, function: this.namer() }],
      },
      additionalBehaviors: { '/v1/*': fromApi, '/openapi.json': fromApi },
      priceClass: PRICE_CLASSES[pagesFrom],
      httpVersion: HttpVersion.HTTP2_AND_3,
      ...(domains.pages && {
        domainNames: [domains.pages.name],
        certificate: Certificate.fromCertificateArn(this, 'Certificate', domains.pages.certificate),
        minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
      }),
    });
    this.upload(collect, built, logDays);
    this.acknowledge();
  }

  /** The file of a path that is not the file's own name. */
  private namer(): Function {
    return new Function(this, 'Names', {
      runtime: FunctionRuntime.JS_2_0,
      code: FunctionCode.fromInline(`const files = ${JSON.stringify(PAGE_PATHS)};
function handler({ request }) {
  if (Object.prototype.hasOwnProperty.call(files, request.uri)) request.uri = '/' + files[request.uri];
  return request;
}`),
    });
  }

  /** Puts the files into the bucket, each with how long it may be kept. Old ones stay: a page that is open may still load them. */
  private upload(collect: string, { folder, snippet }: BuiltPages, logDays: number): void {
    const log = logGroupOf(this, 'UploadLog', logDays);
    const { account, partition, region, synthesizer } = Stack.of(this);
    const staged = `arn:${partition}:s3:::cdk-${synthesizer.bootstrapQualifier ?? DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-${account}-${region}`;
    const role = roleOf(this, 'UploadRole', 'lambda.amazonaws.com', [
      allow(['s3:GetObject', 's3:ListBucket'], staged, `${staged}/*`),
      allow(['s3:GetObject', 's3:PutObject', 's3:ListBucket'], this.bucket.bucketArn, this.bucket.arnForObjects('*')),
      allow(['logs:CreateLogStream', 'logs:PutLogEvents'], log.logGroupArn),
    ]);
    const uploaded = (id: string, file: string, source: ISource, which: { include?: string[]; exclude?: string[] } = {}) => new BucketDeployment(this, id, {
      sources: [source], destinationBucket: asInterface<IBucket>(this.bucket), prune: false, memoryLimit: 256, role, logGroup: log,
      cacheControl: [CacheControl.fromString(cacheControlOf(file))], ...which,
    });
    const hashed = 'assets/*';
    const assets = uploaded('Assets', 'assets/page-00000000.js', Source.asset(folder), { exclude: ['*'], include: [hashed] });
    const pages = uploaded('Files', 'index.html', Source.asset(folder), { exclude: [hashed, SNIPPET, CONFIG] });
    // What a page names is there before it.
    pages.node.addDependency(assets);
    uploaded('Snippet', SNIPPET, Source.data(SNIPPET, snippet.replaceAll(COLLECT_ELSEWHERE, collect)));
    uploaded('Config', CONFIG, Source.jsonData(CONFIG, { collect } satisfies PagesConfig));
  }

  private headers(): ResponseHeadersPolicy {
    return new ResponseHeadersPolicy(this, 'Headers', {
      securityHeadersBehavior: {
        contentSecurityPolicy: { contentSecurityPolicy: CONTENT_SECURITY_POLICY, override: true },
        strictTransportSecurity: { accessControlMaxAge: Duration.days(365), includeSubdomains: true, override: true },
        contentTypeOptions: { override: true },
        frameOptions: { frameOption: HeadersFrameOption.DENY, override: true },
        referrerPolicy: { referrerPolicy: HeadersReferrerPolicy.NO_REFERRER, override: true },
      },
    });
  }

  private acknowledge(): void {
    const uploader = Stack.of(this).node.children.find(({ node }) => node.id.startsWith('Custom::CDKBucketDeployment'))!;
    Validations.of(uploader).acknowledge({ id: 'AwsSolutions-L1', reason: 'The construct that uploads chooses the runtime of its function.' });
    const whole = 'What is uploaded, and what it is taken from, has no names beforehand.';
    Validations.of(this).acknowledge(
      { id: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/*]', reason: whole },
      { id: 'AwsSolutions-IAM5[Resource::<PagesBucket1F9960AC.Arn>/*]', reason: whole },
    );
    Validations.of(this.bucket).acknowledge({ id: 'AwsSolutions-S1', reason: 'It holds the page that everybody may see, and only the distribution reads it.' });
    Validations.of(this.distribution).acknowledge(
      { id: 'AwsSolutions-CFR1', reason: 'Merchants are everywhere.' },
      { id: 'AwsSolutions-CFR2', reason: 'The API throttles, and everything else is files; a web application firewall can be put before it at any time.' },
      { id: 'AwsSolutions-CFR3', reason: 'The API logs its requests; who loads the page, nobody needs to know.' },
      { id: 'AwsSolutions-CFR4', reason: 'Without a name of one\'s own, CloudFront shows its own certificate and takes TLS 1.0 from those who offer nothing better.' },
    );
  }
}
