// pipit from C++: its handles owned by std::unique_ptr, a callback that is a lambda.
#include <pipit/client.h>
#include <pipit/server.h>

#include <future>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace
{

template <auto Free> struct Deleter {
    template <typename T> void operator()(T *object) const
    {
        Free(object);
    }
};
using Server = std::unique_ptr<pipit_server, Deleter<pipit_server_free>>;
using Client = std::unique_ptr<pipit_client, Deleter<pipit_client_free>>;

void must(pipit_err err)
{
    if (err != PIPIT_OK)
        throw std::runtime_error(pipit_strerror(err));
}

Server start()
{
    const char *options[] = {"--no_listen"};
    pipit_server *server = nullptr;

    must(pipit_server_new(&server, options, 1, nullptr, nullptr, nullptr, 0));
    Server owned(server);
    must(pipit_server_start(server));
    return owned;
}

Client connect(const Server &server)
{
    pipit_client_options options = {};
    pipit_client *client = nullptr;

    options.struct_bytes = sizeof(options);
    options.server = server.get();
    must(pipit_client_connect(&client, "memory:", &options));
    return Client(client);
}

} // namespace

int main()
{
    try {
        Server server = start();
        Client client = connect(server);
        std::promise<std::string> heard;
        pipit_sub *sub = nullptr;

        must(pipit_client_subscribe(
            client.get(), "hello.*", nullptr,
            [](void *context, pipit_sub *, const pipit_msg *msg) {
                static_cast<std::promise<std::string> *>(context)->set_value(
                    std::string(static_cast<const char *>(msg->payload), msg->payload_bytes));
            },
            &heard, &sub));
        must(pipit_client_publish(client.get(), "hello.world", nullptr, "from C++", 8));
        std::cout << "heard " << heard.get_future().get() << std::endl;
        pipit_sub_end(sub);
    } catch (const std::exception &e) {
        std::cerr << e.what() << std::endl;
        return 1;
    }
}
