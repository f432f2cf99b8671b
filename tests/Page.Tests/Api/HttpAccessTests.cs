using Microsoft.AspNetCore.Http;
using Phi3VCluster.Silo.Http;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Page.Tests.Api;

public sealed class HttpAccessTests : IDisposable
{
    private const string Operator = "0123456789abcdef-operator", Reader = "0123456789abcdef-reader";

    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Without_a_token_this_machine_may_do_everything_and_others_look()
    {
        Assert.Equal((HttpRole.Operator, null), new HttpAccess(null, null, isLocal: true).RoleOf(Request()));
        var open = new HttpAccess(null, null, isLocal: false);
        Assert.Equal((HttpRole.Reader, null), open.RoleOf(Request()));
        var refusal = open.CheckChange(Request(("X-Phi3V", "1")), HttpRole.Reader)!;
        Assert.Equal(403, refusal.Status);
        Assert.Contains("--http-token-file", refusal.Reason);
    }

    [Theory]
    [InlineData("Bearer " + Operator, nameof(HttpRole.Operator), null)]
    [InlineData("bearer " + Operator, nameof(HttpRole.Operator), null)]
    [InlineData("Bearer " + Reader, nameof(HttpRole.Reader), null)]
    [InlineData("Bearer " + Operator + "x", null, 401)]
    [InlineData("Bearer 0123456789abcdef", null, 401)]
    [InlineData("Bearer ", null, 401)]
    [InlineData("Basic " + Operator, null, 401)]
    [InlineData(Operator, null, 401)]
    [InlineData(null, null, 401)]
    public void A_token_says_the_role(string? header, string? role, int? status)
    {
        var (found, refusal) = WithTokens().RoleOf(header is null ? Request() : Request(("Authorization", header)));

        Assert.Equal(status, refusal?.Status);
        if (role is not null) Assert.Equal(role, found.ToString());
    }

    [Theory]
    [InlineData("?token=" + Operator)]
    [InlineData("?Access_Token=" + Operator)]
    public void A_token_in_a_URL_is_refused_even_beside_a_good_one(string query)
    {
        var request = Request(("Authorization", "Bearer " + Operator));
        request.QueryString = new(query);

        Assert.Equal(400, WithTokens().RoleOf(request).Refusal?.Status);
    }

    [Fact]
    public void Who_may_look_changes_nothing_and_a_token_of_one_kind_is_none_of_the_other()
    {
        Assert.Equal(403, WithTokens().CheckChange(Request(), HttpRole.Reader)?.Status);
        Assert.Null(WithTokens().CheckChange(Request(), HttpRole.Operator));
        var readersOnly = new HttpAccess(null, Read(Reader), isLocal: true);
        Assert.Equal(401, readersOnly.RoleOf(Request()).Refusal?.Status);
        Assert.Equal(HttpRole.Reader, readersOnly.RoleOf(Request(("Authorization", "Bearer " + Reader))).Role);
    }

    [Fact]
    public void Without_a_token_a_change_needs_a_header_that_other_sites_cannot_send()
    {
        var open = new HttpAccess(null, null, isLocal: true);
        Assert.Equal(403, open.CheckChange(Request(("Origin", "https://evil.example")), HttpRole.Operator)?.Status);
        Assert.Null(open.CheckChange(Request(("X-Phi3V", "1")), HttpRole.Operator));
    }

    [Theory]
    [InlineData("localhost", true)]
    [InlineData("LOCALHOST:8080", true)]
    [InlineData("127.0.0.1:8080", true)]
    [InlineData("[::1]:8080", true)]
    [InlineData("evil.example", false)]
    [InlineData("localhost.evil.example:8080", false)]
    [InlineData("", false)]
    public void A_silo_of_this_machine_answers_to_its_names_only(string host, bool isFine)
    {
        Assert.Equal(isFine, new HttpAccess(null, null, isLocal: true).CheckHost(new(host)) is null);
        Assert.Null(new HttpAccess(null, null, isLocal: false).CheckHost(new(host)));
    }

    [Fact]
    public void A_change_with_a_body_is_refused()
    {
        var long_ = Request(("X-Phi3V", "1"));
        long_.ContentLength = 1;
        Assert.Equal(413, new HttpAccess(null, null, isLocal: true).CheckChange(long_, HttpRole.Operator)?.Status);
        var chunked = Request(("X-Phi3V", "1"), ("Transfer-Encoding", "chunked"));
        Assert.Equal(413, new HttpAccess(null, null, isLocal: true).CheckChange(chunked, HttpRole.Operator)?.Status);
    }

    [Theory]
    [InlineData("short")]
    [InlineData("")]
    [InlineData("two words that are long enough")]
    public void A_file_that_holds_no_token_is_refused_without_showing_what_it_holds(string text)
    {
        var error = Assert.Throws<InputException>(() => Read(text));
        var problem = Assert.Single(error.Problems);
        Assert.StartsWith("--http-token-file: must hold one token of 16 to 512 printable characters without spaces, got ", problem);
        if (text.Length > 0) Assert.DoesNotContain(text, problem);
        var missing = Assert.Throws<InputException>(() => Token.ReadFile("--http-token-file", Path.Combine(_folder, "none")));
        Assert.StartsWith("--http-token-file: cannot be read", Assert.Single(missing.Problems));
    }

    private HttpAccess WithTokens() => new(Read(Operator), Read(Reader), isLocal: true);

    private Token Read(string text)
    {
        var path = Path.Combine(_folder, Guid.NewGuid().ToString("N"));
        File.WriteAllText(path, text + "\n");
        return Token.ReadFile("--http-token-file", path);
    }

    private static HttpRequest Request(params (string Name, string Value)[] headers)
    {
        var request = new DefaultHttpContext().Request;
        foreach (var (name, value) in headers) request.Headers[name] = value;
        return request;
    }
}
