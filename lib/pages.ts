// Pages: the merchant's page and, under the same name, the API it reads, so that a browser asks nobody else.
// before: lib/serve.ts; next: the merchant
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager';
import { AllowedMethods, CachePolicy, Distribution, HeadersFrameOption, HeadersReferrerPolicy, HttpVersion, OriginRequestPolicy, PriceClass, ResponseHeadersPolicy, SecurityPolicyProtocol, ViewerProtocolPolicy, type BehaviorOptions } from 'aws-cdk-lib/aws-cloudfront';
import { HttpOrigin, S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import type { HttpApi } from 'aws-cdk-lib/aws-apigatewayv2';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { asInterface } from './functions.ts';
import type { Resolved } from './settings.ts';

const PRICE_CLASSES = { NorthAmericaAndEurope: PriceClass.PRICE_CLASS_100, Everywhere: PriceClass.PRICE_CLASS_ALL } as const satisfies Record<Resolved['pagesFrom'], PriceClass>;

export class Pages extends Construct {
  /** The files of the page. Whatever is in it has been uploaded and can be uploaded again. */
  readonly bucket: Bucket;
  readonly distribution: Distribution;

  constructor(scope: Construct, id: string, { api, settings: { pagesFrom, domains } }: { api: HttpApi; settings: Resolved }) {
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
      defaultRootObject: 'index.html',
      defaultBehavior: { ...kept, origin: S3BucketOrigin.withOriginAccessControl(asInterface<IBucket>(this.bucket)), compress: true },
      additionalBehaviors: { '/v1/*': fromApi, '/openapi.json': fromApi },
      priceClass: PRICE_CLASSES[pagesFrom],
      httpVersion: HttpVersion.HTTP2_AND_3,
      ...(domains.pages && {
        domainNames: [domains.pages.name],
        certificate: Certificate.fromCertificateArn(this, 'Certificate', domains.pages.certificate),
        minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
      }),
    });
    this.acknowledge();
  }

  private headers(): ResponseHeadersPolicy {
    return new ResponseHeadersPolicy(this, 'Headers', {
      securityHeadersBehavior: {
        contentSecurityPolicy: { contentSecurityPolicy: "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'", override: true },
        strictTransportSecurity: { accessControlMaxAge: Duration.days(365), includeSubdomains: true, override: true },
        contentTypeOptions: { override: true },
        frameOptions: { frameOption: HeadersFrameOption.DENY, override: true },
        referrerPolicy: { referrerPolicy: HeadersReferrerPolicy.NO_REFERRER, override: true },
      },
    });
  }

  private acknowledge(): void {
    Validations.of(this.bucket).acknowledge({ id: 'AwsSolutions-S1', reason: 'It holds the page that everybody may see, and only the distribution reads it.' });
    Validations.of(this.distribution).acknowledge(
      { id: 'AwsSolutions-CFR1', reason: 'Merchants are everywhere.' },
      { id: 'AwsSolutions-CFR2', reason: 'The API throttles, and everything else is files; a web application firewall can be put before it at any time.' },
      { id: 'AwsSolutions-CFR3', reason: 'The API logs its requests; who loads the page, nobody needs to know.' },
      { id: 'AwsSolutions-CFR4', reason: 'Without a name of one\'s own, CloudFront shows its own certificate and takes TLS 1.0 from those who offer nothing better.' },
    );
  }
}
